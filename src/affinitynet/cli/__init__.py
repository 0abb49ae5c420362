"""The command line: words in, tables out. It computes nothing."""

from affinitynet.cli.main import main as main  # the console script is affinitynet.cli:main
