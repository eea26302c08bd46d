"""From edit to result in one terminal, and to the end of a flow's life: real pushes, hooks and a real agent."""

from __future__ import annotations

from .conftest import Team, flow_file


def test_from_edit_to_result_in_one_terminal(team: Team, agent: None) -> None:
    team.clone.commit({"flows/etl.py": flow_file()})
    team.push("-u", "origin", "feature/x")
    # Nobody waits in between: the run waits until the push is registered.
    assert team.prefect("run", "etl").splitlines()[-1] == "Flow run succeeded!"
    team.clone.commit({"flows/etl.py": flow_file().replace("[1, 2, 3]", "[4]")})
    team.push()
    shown = team.prefect("run", "etl")
    assert ("loaded [4]" in shown, shown.splitlines()[-1]) == (True, "Flow run succeeded!")
    team.clone.commit({"flows/etl.py": flow_file().replace("load(extract())", "load(extract())\n    extract()")})
    team.push()
    assert team.prefect("run", "etl").splitlines()[-1] == "Flow run succeeded!"
    team.settled()
    status = team.prefect("status").splitlines()
    assert status[-3] == f"feature/x → {team.project}-feature--x"
    assert status[-2].startswith("  etl  v2  no schedule  Success ")


def test_a_branch_that_is_deleted_leaves_flows_that_a_prune_archives(team: Team) -> None:
    team.clone.commit({"flows/etl.py": flow_file()})
    team.push("origin", "feature/x")
    team.settled()
    team.push("origin", ":feature/x")
    assert "[ref-gone]" in team.prefect("status", check=False)
    project = f"{team.project}-feature--x"
    assert team.prefect("prune", "--yes").splitlines()[1] == (
        f"  archived: etl → {project}, version 1: branch feature/x is gone from origin"
    )
    assert team.prefect("status") == "Prefect holds no flow of this repository"
