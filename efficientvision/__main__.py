"""`python -m efficientvision` is the command `efficientvision`."""

from efficientvision.cli.command import main

if __name__ == "__main__":
    main()
