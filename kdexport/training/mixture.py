"""Networks and boosted trees as one model whose outputs are summed: a teacher, or a rival.

Takes raw inputs, gives outputs in the networks' unit (logits, or one standardised number). Shares
of a mixture are chosen on validation rows and stand in the parts' own last values, so that a
mixture is a plain sum for whoever trains on it or exports it.
"""

from dataclasses import dataclass

import numpy as np
import torch

from kdexport.recipe import Recipe
from kdexport.records import Float32, Float64, Inputs, Parts, ProgressSink, Rows
from kdexport.schema import Schema
from kdexport.training.boosting import train_boosting, train_fold_boosting
from kdexport.training.ensemble import make_label_judge
from kdexport.training.growing import BoostingSettings
from kdexport.training.nets import StackedMLP, compute_mean_outputs
from kdexport.training.tree_answers import compute_tree_outputs
from kdexport.training.tree_inputs import read_features
from kdexport.trees import Trees

N_SELECTIONS = 20  # draws of greedy selection: shares are multiples of a twentieth
MAX_TREES = 1200  # of a fold


@dataclass(frozen=True)
class Mixture:
    """A sum of a stack of networks (its mean) and trees; one of the two may be absent.

    Attributes:
        schema: What both read.
        stack: Networks, their share of the mixture within their last layer; or None.
        trees: Trees in the target's own unit, their share within, the target's centre only where
            they stand alone; or None.
        device: Where networks run.
    """

    schema: Schema
    stack: StackedMLP | None
    trees: Trees | None
    device: str = "cpu"

    def compute_outputs(self, inputs: Inputs) -> Float32:
        """Answer for raw inputs: logits or standardised numbers, **Shape** `[n, K]` float32."""
        outputs = np.zeros((inputs.n_rows, 1), np.float32)
        if self.stack is not None:
            rows = self.stack.encoder.prepare(inputs, self.device)
            outputs = compute_mean_outputs(self.stack, rows).cpu().numpy()
        if self.trees is None:
            return outputs
        added: Float32 = self.answer_trees(inputs).astype(np.float32) + outputs
        return added

    @property
    def has_probabilities(self) -> bool:
        """Whether it is a forest, whose sum is probabilities as it is."""
        return self.trees is not None and self.trees.meaning == "probabilities"

    def answer(self, inputs: Inputs) -> Float64:
        """Answer for raw inputs, **Shape** `[n, K]` float64: probabilities, or numbers in the
        target's own unit.
        """
        if self.has_probabilities:
            return self.answer_trees(inputs)
        outputs = self.compute_outputs(inputs).astype(np.float64)
        if self.schema.signature.is_regression:
            return self.schema.in_units(outputs)
        grown = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        shares: Float64 = grown / grown.sum(axis=1, keepdims=True)
        return shares

    def answer_trees(self, inputs: Inputs) -> Float64:
        """The trees' part in the networks' unit, **Shape** `[n, K]` float64; 0 without trees."""
        if self.trees is None:
            return np.zeros((inputs.n_rows, 1))
        features = read_features(inputs, self.schema, self.trees.readings)
        exact = compute_tree_outputs(self.trees, features)
        if self.stack is None:
            return self.schema.standardise(exact)
        return exact / self.schema.target_scale  # the networks have the centre


def stand_alone(trees: Trees, schema: Schema, *, share: float = 1.0) -> Mixture:
    """Make trees of standardised numbers a model of their own, in the target's unit.

    Args:
        trees: As `train_boosting` gives them.
        schema: The target's centre and scale (0 and 1 for classes).
        share: What their outputs are multiplied by: the inverse of a temperature.
    """
    offset = schema.target_center
    return Mixture(schema, None, trees.scaled(share * schema.target_scale, offset=offset))


def train_rival(rows: Parts[Rows], schema: Schema, *, seed: int) -> Mixture:
    """Train one boosted model on the same rows: what a user would ship instead of a student."""
    trees = train_boosting(rows.train, rows.validation, schema, seed=seed)
    return stand_alone(trees, schema)


def mix_with_boosting(
    stack: StackedMLP,
    rows: Parts[Rows],
    recipe: Recipe,
    *,
    n_threads: int,
    on_progress: ProgressSink,
) -> tuple[Mixture, Float64, float]:
    """Add boosted trees to a trained ensemble, with the share that validation rows choose.

    Args:
        stack: The ensemble; its outputs are scaled in place.
        rows: Training rows fit the trees in folds, validation rows stop them and choose.
        recipe: Number of folds and seed.
        n_threads: Folds that are trained at a time.
        on_progress: Called after each fold.

    Returns:
        The mixture; what it answers for the training rows, each by trees that never saw it,
        **Shape** `[n, K]` float64; and the trees' share of the mixture.

    Source: Caruana, Niculescu-Mizil, Crew and Ksikes, "Ensemble Selection from Libraries of
        Models" (2004): greedy, with replacement, on rows that trained neither.
    """
    schema, n_folds = stack.encoder.schema, recipe.teacher.n_folds
    trees, out_of_fold = train_fold_boosting(
        rows.train,
        rows.validation,
        schema,
        BoostingSettings(max_trees=MAX_TREES),
        n_folds=n_folds,
        seed=recipe.seed,
        n_threads=n_threads,
        on_progress=on_progress,
    )
    validation = rows.validation.inputs
    networks = Mixture(schema, stack, None, recipe.device)
    boosting = stand_alone(trees, schema)
    answers = np.stack([networks.compute_outputs(validation), boosting.compute_outputs(validation)])
    share, temperature = _select_share(answers, rows.validation, schema, recipe)
    if share == 1.0:
        alone = stand_alone(trees, schema, share=1 / temperature)
        return alone, out_of_fold / temperature, share
    stack.divide_outputs(torch.full((stack.n_members,), temperature / (1.0 - share)))
    if share == 0.0:
        return networks, networks.compute_outputs(rows.train.inputs).astype(np.float64), share
    share_of_trees = share / temperature
    placed = trees.scaled(share_of_trees * schema.target_scale)
    mixture = Mixture(schema, stack, placed, recipe.device)
    own = networks.compute_outputs(rows.train.inputs) + share_of_trees * out_of_fold
    return mixture, own, share


def _select_share(
    answers: Float32, validation: Rows, schema: Schema, recipe: Recipe
) -> tuple[float, float]:
    """Draw one part after the other, each time the one that leaves the sum best.

    **Shape** answers `[2, v, K]`: networks, trees. Returns the trees' share of the draws and the
    temperature that calibrates the sum.
    """
    judge = make_label_judge(validation, schema, recipe)
    counts = np.zeros(len(answers))
    best_loss, best = np.inf, (0.0, 1.0)
    for n_drawn in range(1, N_SELECTIONS + 1):
        tried = counts + np.eye(len(answers))
        sums = np.einsum("ij,jvk->ivk", tried / n_drawn, answers).astype(np.float32)
        temperatures, losses = judge(torch.from_numpy(sums).to(recipe.device))
        choice = int(np.argmin(losses))
        counts = tried[choice]
        if losses[choice] < best_loss:
            best_loss = losses[choice]
            best = (float(counts[1] / n_drawn), float(temperatures[choice]))
    return best
