"""Which job runs which pipeline: jobs follow from what is made, not from how many products there are."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batuta.manifests.graph import CompiledGraph, CompiledPipeline
from batuta_assets.partitions import partition_key, product_days
from batuta_assets.pipelines import described, pipeline_job
from sensors import run_tags
from sensors.jobs import job_names, pipeline_jobs, shortened
from tests.support.score import NOON, company, pipeline, product


def fewer(whole: CompiledPipeline) -> CompiledPipeline:
    """The pipeline without its first step."""
    return whole.model_copy(update={"steps": whole.steps[1:]})


def graph(*pipelines: CompiledPipeline) -> CompiledGraph:
    return company([product(name) for p in pipelines for name in p.products], pipelines)


def names(*pipelines: CompiledPipeline) -> dict[str, str]:
    return job_names(pipeline_jobs(graph(*pipelines)))


def test_a_pipeline_that_is_like_no_other_has_a_job_of_its_own_name() -> None:
    a, b = pipeline("a-review", ["a"]), fewer(pipeline("b-review", ["b"]))
    assert names(a, b) == {"a-review": "a_review", "b-review": "b_review"}


def test_pipelines_that_make_the_same_share_the_job_of_their_family() -> None:
    assert set(names(*(pipeline(f"{n}-review", [n]) for n in "abc")).values()) == {"daily_review"}


def test_of_several_shared_jobs_of_a_family_the_commonest_has_its_name() -> None:
    found = names(
        *(pipeline(f"{n}-review", [n]) for n in "ab"), *(fewer(pipeline(f"{n}-review", [n])) for n in "cde")
    )
    assert found["c-review"] == found["d-review"] == found["e-review"] == "daily_review"
    assert found["a-review"] == found["b-review"]
    assert found["a-review"].startswith("daily_review_")


def test_a_shared_job_takes_no_name_that_a_pipeline_has() -> None:
    found = names(
        pipeline("a-review", ["a"]), pipeline("b-review", ["b"]), fewer(pipeline("daily-review", ["c"]))
    )
    assert found["daily-review"] == "daily_review"
    assert found["a-review"].startswith("daily_review_")


@given(st.lists(st.sampled_from(["whole", "part"]), min_size=1, max_size=30))
def test_every_pipeline_has_one_job_that_makes_exactly_its_assets(kinds: Sequence[str]) -> None:
    pipelines = [
        whole if kind == "whole" else fewer(whole)
        for number, kind in enumerate(kinds)
        if (whole := pipeline(f"p{number}-review", [f"p{number}"]))
    ]
    jobs = pipeline_jobs(graph(*pipelines))
    assert len({job.name for job in jobs}) == len(jobs) == len(set(kinds))
    by_name = {job.name: job for job in jobs}
    of = job_names(jobs)
    for each in pipelines:
        assert by_name[of[each.name]].selection == frozenset(each.asset_keys)


@pytest.fixture
def shared() -> dg.JobDefinition:
    (job,) = pipeline_jobs(graph(pipeline("a-review", ["a"]), pipeline("b-review", ["b"])))
    assets = [dg.AssetSpec(key=key, partitions_def=product_days) for key in sorted(job.selection)]

    @dg.multi_asset(specs=assets, can_subset=True)
    def all_of_them() -> Iterator[Any]:
        yield from ()

    return dg.Definitions(assets=[all_of_them], jobs=[pipeline_job(job)]).resolve_job_def("daily_review")


def test_a_run_by_hand_of_a_shared_job_is_tagged_as_the_pipeline_of_its_product(
    shared: dg.JobDefinition,
) -> None:
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.partition_loading_context(dynamic_partitions_store=instance),
    ):
        instance.add_dynamic_partitions("product", ["a", "b", "stranger"])
        tags = shared.get_tags_for_partition_key(partition_key("b", NOON.date()), selected_asset_keys=None)
        assert tags.items() >= run_tags.pipeline_tags("b-review", "b").items()
        strange = shared.get_tags_for_partition_key(
            partition_key("stranger", NOON.date()), selected_asset_keys=None
        )
        assert run_tags.PIPELINE not in strange


def test_a_product_with_two_pipelines_in_one_job_is_left_to_who_launches_it() -> None:
    (job,) = pipeline_jobs(graph(pipeline("a-review", ["a"]), pipeline("other-review", ["a", "b"])))
    assert job.by_product == {"b": "other-review"}


def test_what_a_job_is_for_names_its_pipelines_but_not_a_thousand_of_them() -> None:
    (job,) = pipeline_jobs(graph(*(pipeline(f"p{n:04d}-review", [f"p{n:04d}"]) for n in range(1000))))
    assert "p0000-review, p0001-review" in described(job)
    assert "980 more" in described(job)
    assert len(described(job)) < 1000
    assert shortened(["a", "b"]) == "a, b"
