"""The names of classes, and what a label is."""

from collections.abc import Sequence

import numpy as np

from runtimes.datatypes import NUMPY_OF, Tensor, tensor_of_bytes
from runtimes.errors import ModelRefused
from runtimes.trees.model import LABEL, TreeModel

_FALSE_TRUE = (b"False", b"True")


def label_values(model: TreeModel, names: Sequence[str], datatype: str) -> Tensor | None:
    """Return the label of each class, in the datatype that model.yaml declares, or None if no label is declared.

    `names` are the columns of the probabilities. If they are no numbers, a number as a label is the position.

    Raises:
        ModelRefused: the names are not those of the model, or a label cannot have this datatype.
    """
    if not model.class_count or model.outputs[LABEL].shape:
        return None
    texts = [str(value) for value in model.classes]
    if names and texts and list(names) != texts:
        raise ModelRefused(f"model.yaml names the classes {list(names)}; the model has {texts}.")
    if not datatype:
        return None
    known = texts or list(names)
    if datatype == "BYTES":
        if not known:
            raise ModelRefused(
                "The file does not name the classes, so a label is the position of its class (INT64). To get names, "
                "list them in this order as `columns` of the output probabilities."
            )
        return tensor_of_bytes([each.encode() for each in known], (len(known),))
    if datatype == "BOOL" and tuple(each.encode() for each in known) == _FALSE_TRUE:
        return np.array([False, True])
    if not known or (not texts and not all(map(_is_number, known))):
        return np.arange(model.class_count).astype(NUMPY_OF[datatype])
    try:
        numbers = np.array([float(value) for value in known])
        cast = numbers.astype(NUMPY_OF[datatype])
    except ValueError:
        cast = None
    if cast is None or not np.array_equal(cast, numbers):
        raise ModelRefused(
            f"A label is one of {known}, which {datatype} cannot hold: declare BYTES, or a wider datatype."
        )
    return cast


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
