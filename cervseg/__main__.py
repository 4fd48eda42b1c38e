"""`python -m cervseg` is `cervseg`."""

from cervseg.cli.app import run

if __name__ == "__main__":
    run()
