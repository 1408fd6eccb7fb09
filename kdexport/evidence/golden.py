"""Golden rows: does the shipped student still answer as its source did when it was exported?

Takes a verified bundle, gives the comparison. Needs no torch.
"""

from kdexport.bundle import STUDENT, Bundle, unpack_golden
from kdexport.evidence.facts import ParityFact
from kdexport.evidence.parity import compare_answers
from kdexport.runtime import open_session


def replay_golden(bundle: Bundle) -> ParityFact:
    """Answer the golden rows again and compare; zero rows or a non-finite answer never pass.

    Raises:
        DataError: The golden rows are absent or damaged.
        ParityError: Their shapes are not those of the file's answers.
    """
    inputs, stored = unpack_golden(bundle.files)
    answers = open_session(bundle.files[STUDENT]).answer(inputs)
    return compare_answers(stored, answers)
