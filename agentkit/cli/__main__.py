"""``python -m agentkit.cli`` is ``agentkit``, for where the script is not on the path."""

from agentkit.cli.app import main

if __name__ == "__main__":
    main()
