"""Where workers come from: what is said where they cannot begin, and pools of hundreds."""

import os
import resource
import signal
from collections.abc import Callable, Iterator

import pytest

from semlink.flowgraphs.studies import Study, nursery, workers

on_linux = pytest.mark.skipif(not nursery.FORKS, reason="workers are forked on Linux")


@on_linux
def test_what_cannot_be_imported_is_said_at_once_and_by_its_name(small: Callable[..., Study]) -> None:
    """Three deaths, and a guess at the memory, would hide it."""
    with workers.Workers(small(), 1) as pool:
        pool._nursery = nursery.Nursery("semlink.flowgraphs.studies.no_such_file")
        pool.submit(small().points())
        said = r"could not begin: semlink\.flowgraphs\.studies\.no_such_file cannot be imported: ModuleNotFoundError: "
        with pytest.raises(workers.WorkerError, match=said):
            list(pool.finished())


@pytest.fixture
def past_1024() -> Iterator[None]:
    """As many files open as a pool of 350 workers has."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limits[1] != resource.RLIM_INFINITY and limits[1] < 1200:
        pytest.skip("the system allows no 1200 open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(1200, limits[0]), limits[1]))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(1030)]
    yield
    for one in opened:
        os.close(one)
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@on_linux
@pytest.mark.usefixtures("past_1024")
def test_a_pool_may_have_more_pipes_than_select_can_watch() -> None:
    child = nursery._Forked()
    assert child._life > 1024
    assert child.wait(0) is None
    os.write(child.theirs[2], b"77\n0\n")
    assert (child.pid, child.wait(0)) == (77, 0)
    child.begun()
    os.close(child.questions)
    os.close(child.answers)


@on_linux
def test_a_large_pool_may_open_the_files_that_it_needs() -> None:
    """1024 is what most systems allow at first, and no more than 341 workers have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1456:
        pytest.skip("the system allows no 1456 open files")
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
        nursery.make_room(2)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (1024, hard)
        nursery.make_room(400)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (1456, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (-signal.SIGKILL, "SIGKILL; too little memory?"),
        (-signal.SIGSEGV, "SIGSEGV"),
        (1, "exit status 1; what they printed says why"),
    ],
)
def test_memory_is_suspected_only_where_a_worker_was_killed(status: int, why: str) -> None:
    assert workers._why(status) == why
