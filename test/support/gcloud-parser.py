"""
Parses argument vectors by gcloud's own parser, and runs nothing. Reads a JSON array of arrays from the standard input; prints, for
each, null or what is wrong with it.
"""
import json
import sys

from googlecloudsdk import gcloud_main
from googlecloudsdk.calliope import backend


def fault(top, argv):
    node, rest = top, list(argv)
    while rest and not isinstance(node, backend.Command):
        child = node.LoadSubElement(rest[0])
        if child is None:
            return f"there is no command {' '.join(argv[:4])}"
        node, rest = child, rest[1:]
    if not isinstance(node, backend.Command):
        return f"{' '.join(argv)} is a group of commands"
    try:
        node._parser.parse_args(rest, raise_error=True)
    except (Exception, SystemExit) as error:  # Its errors have no common class.
        return f"{type(error).__name__}: {error}"
    return None


top = gcloud_main.CreateCLI([])._TopElement()
json.dump([fault(top, argv) for argv in json.load(sys.stdin)], sys.stdout)
