"""``python -m audiera`` is the command ``audiera``."""

from audiera.cli.main import main

if __name__ == "__main__":
    main()
