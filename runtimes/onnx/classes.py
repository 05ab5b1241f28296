"""The classes of a classifier whose graph ends in a ZipMap, which makes a map of each row's probabilities."""

from typing import Any


def zipmap_classes(model: Any) -> dict[str, tuple[str, ...]]:
    """Return the keys of each ZipMap's maps, by the name of its output, in the order of the probabilities."""
    classes = {}
    for node in model.graph.node:
        if node.op_type == "ZipMap":
            for each in node.attribute:
                if each.name == "classlabels_int64s" and each.ints:
                    classes[node.output[0]] = tuple(map(str, each.ints))
                if each.name == "classlabels_strings" and each.strings:
                    classes[node.output[0]] = tuple(label.decode() for label in each.strings)
    return classes
