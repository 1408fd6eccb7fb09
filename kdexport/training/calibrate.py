"""The temperature of a user's own teacher: how sure its answers should be, by the validation rows.

Takes an `OwnTeacher` and rows that it has not seen, gives one whose outputs are divided by what
they are best divided by. What it answers, and its file, stay as they are.
"""

from dataclasses import replace

import numpy as np
import torch

from kdexport.records import Rows
from kdexport.training.objective import find_objective, fit_temperatures
from kdexport.training.own_teacher import OwnTeacher


def calibrate(teacher: OwnTeacher, validation: Rows) -> OwnTeacher:
    """Fit one temperature to the labels of the validation rows; a regression has none.

    Args:
        teacher: Its outputs are log probabilities.
        validation: Rows that it was not fitted on: of rows that it knows it is too sure.
    """
    schema = teacher.schema
    if schema.signature.is_regression:
        return teacher
    outputs = torch.from_numpy(teacher.compute_outputs(validation.inputs))
    targets = torch.from_numpy(find_objective(schema).encode_targets(validation.targets))
    weights = torch.from_numpy(validation.weights)
    temperatures, _ = fit_temperatures(outputs[None], targets[None], weights)
    temperature = float(temperatures[0])
    own = teacher.own_outputs
    if own is not None:
        cooled = own / temperature
        own = cooled - np.logaddexp.reduce(cooled, axis=1, keepdims=True)
    return replace(teacher, temperature=temperature, own_outputs=own)
