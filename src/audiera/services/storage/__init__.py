"""What a node keeps on its disks, and the promises about it. Each driver is opened through one door."""
