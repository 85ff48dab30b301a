"""Findings about searched, adversarial and augmented ends: what they make of small tables."""

import numpy as np
import pandas as pd
import pytest

from spaceprobe.findings.questions import FINDINGS
from spaceprobe.findings.wording import row_where

SEEDS = (0, 1, 2)


def derived(name, **tables):
    return FINDINGS[name].derive(tables)


def row(table, **where):
    return table.iloc[row_where(table, where)]


# the search


def searched(found, between=0.2):
    """Return networks of two depths and three seeds in both states, and a path of each trained one."""
    networks, paths = [], []
    for (architecture, depth), seed in (
        (each, seed) for each in (("2x30", 2), ("6x10", 6)) for seed in SEEDS
    ):
        run = f"{architecture}-s{seed}"
        about = {"run": run, "architecture": architecture, "depth": depth, "seed": seed}
        about |= {"climbers": 3, "climbs": 5, "num_data_paths": 90, "data_max": between}
        networks += [{**about, "state": "untrained", "searched_max": between + 0.1 + 0.01 * seed}]
        networks += [{**about, "state": "trained", "searched_max": found[architecture][seed]}]
        flips = [0, 1, 2, 4 + seed]
        paths += [
            {"run": run, "seed": seed, "step": step, "t": 0.25 * step, "distance": min(2, step), "flips": n}
            for step, n in enumerate(flips)
        ]
    return {"networks": pd.DataFrame(networks), "paths": pd.DataFrame(paths)}


def test_the_best_path_is_the_first_of_those_that_fold_most():
    tables = derived("global-folding", **searched({"2x30": [0.3, 0.5, 0.6], "6x10": [0.6, 0.4, 0.2]}))
    (best,) = tables["best"].to_dict("records")
    assert (best["run"], best["length"], best["reach"]) == ("2x30-s2", 6, 2)
    assert (best["searched_max"], best["data_max"]) == (0.6, 0.2)


def test_what_the_search_gains():
    tables = derived("global-folding", **searched({"2x30": [0.3, 0.5, 0.6], "6x10": [0.6, 0.4, 0.2]}))
    gain = row(tables["comparisons"], measure="gain", state="trained", of="all", against="zero")
    # seed by seed the mean of both depths, minus 0.2: 0.25, 0.25, 0.2
    assert gain["difference"] == pytest.approx(0.7 / 3)
    deeper = row(tables["comparisons"], measure="searched_max", state="trained", of="6x10")
    assert deeper["difference"] == pytest.approx((0.3 - 0.1 - 0.4) / 3)
    training = row(tables["comparisons"], measure="gain", state="trained", against="untrained")
    assert training["difference"] == pytest.approx((0.15 + 0.14 + 0.08) / 3)
    assert tables["gains"]["gain"].min() == pytest.approx(0)


# adversarial twins


def adversarial(share, robust, folds):
    """Return paths and networks of three depths; each value is a function of depth and seed."""
    paths, networks = [], []
    for depth in (2, 4, 6):
        for seed in SEEDS:
            architecture = f"{depth}x{60 // depth}"
            about = {"run": f"{architecture}-s{seed}", "architecture": architecture, "depth": depth}
            about |= {"seed": seed}
            networks.append({**about, "state": "trained", "test_accuracy": 0.9, "chi_row_max_median": 0.0})
            networks[-1]["chi_row_max_median"] = folds(depth, seed)
            for state in ("untrained", "trained"):
                for attack in ("pgd", "random-pgd", "fgsm", "random-fgsm"):
                    for norm in ("linf", "l2"):
                        paths.append(
                            {**about, "state": state, "attack": attack, "norm": norm, "radius": 1.0}
                            | {"accuracy": 0.9, "robust_accuracy": robust(depth, seed), "mean_norm": 1.0}
                            | {"folded": share(attack, depth, seed), "mean": 0.1}
                        )
    return {"paths": pd.DataFrame(paths), "networks": pd.DataFrame(networks)}


def test_twins_are_compared_with_their_own_controls():
    def share(attack, depth, seed):
        base = 0.1 if attack.startswith("random-") else 0.2
        return base + 0.01 * seed * ("pgd" in attack) + (0.02 * depth if attack == "fgsm" else 0)

    tables = derived("adversarial", **adversarial(share, lambda d, s: 0.1 * d + s / 100, lambda d, s: d + s))
    comparisons = tables["comparisons"]
    pgd = row(comparisons, measure="excess", state="trained", attack="pgd", norm="l2")
    assert pgd["difference"] == pytest.approx(0.1)
    assert {*comparisons.query("state == 'untrained'")["attack"]} == {"pgd"}
    fgsm = row(comparisons, measure="excess", state="trained", attack="fgsm", norm="linf")
    assert fgsm["difference"] == pytest.approx(0.1 + 0.02 * 4)
    deeper = row(comparisons, measure="twins", of="6x10")
    assert deeper["difference"] == pytest.approx(0.02 * 4 / 2)  # of one of two attacks
    robust = row(comparisons, measure="robust_accuracy")
    assert robust["difference"] == pytest.approx(0.4)


def test_robust_accuracy_against_folding_over_depths_and_over_seeds():
    """Deeper networks fold more and resist less; of one depth, those that fold more resist more."""
    jitter = {0: 0.0, 1: 0.02, 2: 0.05}

    def robust(depth, seed):
        return 0.9 - 0.1 * depth + jitter[seed]

    def folds(depth, seed):
        return 0.1 * depth + jitter[seed] + 0.003 * (depth == 4) * (seed == 1)

    tables = derived("adversarial", **adversarial(lambda *_: 0.1, robust, folds))
    depths, seeds = (row(tables["correlations"], over=over) for over in ("depths", "seeds"))
    frame = tables["robust"]
    for over, group, found in (("seed", "seed", depths), ("architecture", "architecture", seeds)):
        r = [part["chi_row_max_median"].corr(part["robust_accuracy"]) for _, part in frame.groupby(group)]
        is_perfect = np.isclose(np.abs(r), 1, atol=1e-12).any()
        assert is_perfect or found["mean"] == pytest.approx(np.tanh(np.arctanh(r).mean())), over
        assert found["num_groups"] == 3
    assert depths["mean"] < -0.99
    assert seeds["mean"] > 0.99


# copies and loops


def augmented():
    """Return paths whose χ is 0.1 untrained and 0.2 trained, and 0.05 less with augmentation, and loops."""
    paths, networks = [], []
    for seed in SEEDS:
        for share in (0.0, 1.0):
            about = {"run": f"s{seed}-{share}", "architecture": "2x30", "seed": seed, "augment_share": share}
            networks.append({**about, "state": "trained", "test_accuracy": 0.9, "chi_row_max_median": 0.3})
            for state in ("untrained", "trained"):
                chi = 0.1 if state == "untrained" else 0.2 - 0.05 * share + 0.001 * seed
                for transform, amounts in (("rotation", (5.0, 15.0)), ("shift", (1.0,)), ("noise", (0.1,))):
                    of = {**about, "state": state, "transform": transform}
                    paths += [
                        {**of, "paths": "copies", "amount": amount, "folded": 0.5, "mean": chi * amount / 20}
                        for amount in amounts
                    ]
                    # four of five loops cross a boundary, and these have χ = 0.6 and more
                    loops = {"paths": "loops", "amount": amounts[-1], "folded": 0.8}
                    paths.append({**of, **loops, "mean": 0.8 * (0.6 + 0.1 * (state == "trained") * share)})
    return {"paths": pd.DataFrame(paths), "networks": pd.DataFrame(networks)}


def test_copies_and_loops_by_how_networks_were_trained():
    tables = derived("augmentation", **augmented())
    overall, comparisons = tables["overall"], tables["comparisons"]
    copies = row(overall, measure="chi", training="as they are", transform="rotation")
    assert copies["mean"] == pytest.approx(0.201 / 2)  # at 5 and 15 degrees, a quarter and three quarters
    change = row(comparisons, measure="chi", training="augmented", transform="shift")
    assert (change["difference"], change["against"]) == (pytest.approx(-0.05 / 20), "as they are")
    before = row(comparisons, measure="chi", training="as they are", transform="shift")
    assert before["difference"] == pytest.approx(0.101 / 20)


def test_loops_that_cross_nothing_do_not_count():
    tables = derived("augmentation", **augmented())
    plain = row(tables["overall"], measure="beyond_half", training="as they are", transform="noise")
    assert plain["mean"] == pytest.approx(0.1)
    change = row(tables["comparisons"], measure="beyond_half", training="augmented", transform="noise")
    assert change["difference"] == pytest.approx(0.1)
    none = augmented()
    is_loop = none["paths"]["paths"] == "loops"
    none["paths"].loc[is_loop & (none["paths"]["seed"] == 0), ["folded", "mean"]] = 0.0
    change = row(derived("augmentation", **none)["comparisons"], measure="beyond_half", transform="noise",
                 training="augmented")  # fmt: skip
    assert (change["num_seeds"], change["note"]) == (
        2,
        "1 of 3 seeds left out; 2 seeds: an interval needs 3",
    )
