"""``python -m apollo_pack`` is ``apollo-pack``."""

from apollo_pack.cli import main

if __name__ == "__main__":
    main()
