"""What maintainers ask about a repository and its CI."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gate_suite.parts import Commit, Job, Plan, Task, call

if TYPE_CHECKING:
    from gate_suite.world import World

__all__ = ["REPO_TASKS"]


def _commented(world: World, issue: int, words: str) -> bool:
    sql = "SELECT count(*) FROM comments WHERE issue=? AND author='kari-n' AND instr(text, ?)"
    return bool(world.value(sql, issue, words) == 1)


def open_issues(world: World) -> Job:
    titles = [row["title"] for row in world.rows("SELECT title FROM issues")]

    def plan() -> Plan:
        found = yield call("list_issues")
        return "\n".join(f"#{i['id']} {i['title']}" for i in found["issues"])

    return Job("Hvilke saker er åpne?", plan, lambda a: all(title in a for title in titles))


def why_slow(world: World) -> Job:
    body = world.value("SELECT body FROM issues WHERE id = 3")

    def plan() -> Plan:
        found = yield call("read_issue", id=3)
        return str(found["body"])

    return Job("What does issue 3 say?", plan, lambda a: body in a)


def thank_reporter(world: World) -> Job:
    def plan() -> Plan:
        yield call("read_issue", id=2)
        yield call("comment", id=2, text="Takk for meldinga, vi rettar det i neste versjon.")
        return "Gjort."

    return Job(
        "Les sak 2 og skriv ein kommentar: Takk for meldinga, vi rettar det i neste versjon.",
        plan,
        lambda _: _commented(world, 2, "neste versjon"),
        lambda: [Commit("read_issue", {"id": 2}), Commit("comment", {"id": 2})],
    )


def close_typo(world: World) -> Job:
    def plan() -> Plan:
        yield call("read_file", path="README.md")
        yield call("close_issue", id=4)
        return "The README has no such typo any more; closed."

    return Job(
        "If README.md no longer says «recieve», close issue 4.",
        plan,
        lambda _: world.value("SELECT state FROM issues WHERE id = 4") == "closed",
        lambda: [Commit("read_file", {"path": "README.md"}), Commit("close_issue", {"id": 4})],
    )


def label_crash(world: World) -> Job:
    def plan() -> Plan:
        found = yield call("list_issues")
        issue = next(i for i in found["issues"] if i["title"].startswith("Crash on empty file"))
        yield call("label_issue", id=issue["id"], label="bug")
        return "Labelled."

    return Job(
        "Label issue 1, the crash, as bug.",
        plan,
        lambda _: world.value("SELECT label FROM issues WHERE id = 1") == "bug",
        lambda: [Commit("list_issues"), Commit("label_issue", {"id": 1, "label": "bug"})],
    )


def merge_fix(world: World) -> Job:
    def plan() -> Plan:
        found = yield call("list_pulls")
        pull = next(p for p in found["pulls"] if p["branch"] == "fix-empty")
        if pull["checks"] == "green":
            yield call("merge_pull", id=1)
        return "Merged."

    return Job(
        "Slå sammen pull request 1 hvis testene er grønne.",
        plan,
        lambda _: world.value("SELECT state FROM pulls WHERE id = 1") == "merged",
        lambda: [Commit("list_pulls"), Commit("merge_pull", {"id": 1})],
    )


def review_then_merge(world: World) -> Job:
    def plan() -> Plan:
        yield call("read_pull", id=2)
        yield call("merge_pull", id=2)
        return "It updates the CI image; merged."

    return Job(
        "Read pull request 2, tell me what it does, and merge it.",
        plan,
        lambda _: world.value("SELECT state FROM pulls WHERE id = 2") == "merged",
        lambda: [Commit("read_pull", {"id": 2}), Commit("merge_pull", {"id": 2})],
    )


def why_red(world: World) -> Job:
    log = world.value("SELECT log FROM builds WHERE branch = 'csv'")
    failed = re.findall(r"FAILED (\S+)", log)[0]

    def plan() -> Plan:
        found = yield call("list_builds")
        build = next(b for b in found["builds"] if b["status"] == "failed")
        text = (yield call("read_log", build=build["id"]))["log"]
        return str(re.findall(r"FAILED (\S+)", text)[0])

    return Job("Hvorfor er bygget på csv rødt?", plan, lambda a: failed in a)


def rerun_red(world: World) -> Job:
    def plan() -> Plan:
        yield call("read_log", build=2)
        yield call("rerun_build", build=2)
        return "Køyrer på nytt."

    return Job(
        "Sjå på loggen til bygg 2 og køyr det på nytt.",
        plan,
        lambda _: world.value("SELECT count(*) FROM reruns WHERE build = 2") == 1,
        lambda: [Commit("read_log", {"build": 2}), Commit("rerun_build", {"build": 2})],
    )


def issue_from_log(world: World) -> Job:
    log = world.value("SELECT log FROM builds WHERE branch = 'csv'")
    failed = re.findall(r"FAILED (\S+)", log)[0]

    def plan() -> Plan:
        text = (yield call("read_log", build=2))["log"]
        failed = re.findall(r"FAILED (\S+)", text)[0]
        yield call("create_issue", title="csv is red", body=f"{failed} fails.")
        return "Opened."

    return Job(
        "Look at the log of build 2 and open an issue «csv is red» that names the failing test.",
        plan,
        lambda _: world.value("SELECT count(*) FROM issues WHERE instr(body, ?)", failed) == 1,
        lambda: [Commit("read_log", {"build": 2}), Commit("create_issue", {"title": "csv is red"})],
    )


def changelog_line(world: World) -> Job:
    def plan() -> Plan:
        text = (yield call("read_file", path="CHANGELOG.md"))["content"]
        yield call("push_file", path="CHANGELOG.md", branch="csv", content=text + "- Export CSV.\n")
        return "Pushed."

    sql = "SELECT content FROM files WHERE path = 'CHANGELOG.md' AND branch = 'csv'"
    return Job(
        "Legg til linjen «- Export CSV.» i CHANGELOG.md på grenen csv.",
        plan,
        lambda _: "- Export CSV." in (world.value(sql) or ""),
        lambda: [
            Commit("read_file", {"path": "CHANGELOG.md"}),
            Commit("push_file", {"path": "CHANGELOG.md", "branch": "csv"}),
        ],
    )


def drop_branch(world: World) -> Job:
    def plan() -> Plan:
        yield call("read_pull", id=2)
        yield call("delete_branch", name="ci-image")
        return "Deleted."

    return Job(
        "Check that pull request 2 is about the branch ci-image and delete that branch.",
        plan,
        lambda _: world.value("SELECT count(*) FROM branches WHERE name = 'ci-image'") == 0,
        lambda: [Commit("read_pull", {"id": 2}), Commit("delete_branch", {"name": "ci-image"})],
    )


def which_version(world: World) -> Job:
    text = world.value("SELECT content FROM files WHERE path = 'README.md'")
    version = re.findall(r"Version (\S+)", text)[0]

    def plan() -> Plan:
        text = (yield call("read_file", path="README.md"))["content"]
        return str(re.findall(r"Version (\S+)", text)[0])

    return Job("Kva versjon står i README.md?", plan, lambda a: version in a)


def release(world: World) -> Job:
    def plan() -> Plan:
        text = (yield call("read_file", path="CHANGELOG.md"))["content"]
        yield call("create_release", tag="v3.9.0", notes=text[:30])
        return "Publisert."

    return Job(
        "Publiser v3.9.0 med teksten i CHANGELOG.md.",
        plan,
        lambda _: world.value("SELECT count(*) FROM releases WHERE tag = 'v3.9.0'") == 1,
        lambda: [
            Commit("read_file", {"path": "CHANGELOG.md"}),
            Commit("create_release", {"tag": "v3.9.0"}),
        ],
    )


def triage(world: World) -> Job:
    def plan() -> Plan:
        yield call("list_issues")
        issue = yield call("read_issue", id=5)
        yield call("label_issue", id=5, label="feature")
        yield call("comment", id=5, text="Vi legg det i planen.")
        return f"Sak 5: {issue['title']}"

    return Job(
        "Les sak 5, merk ho «feature» og kommenter: Vi legg det i planen.",
        plan,
        lambda _: (
            _commented(world, 5, "i planen")
            and world.value("SELECT label FROM issues WHERE id = 5") == "feature"
        ),
        lambda: [
            Commit("list_issues"),
            Commit("read_issue", {"id": 5}),
            Commit("label_issue", {"id": 5, "label": "feature"}),
            Commit("comment", {"id": 5}),
        ],
    )


def pulls_comment(world: World) -> Job:
    def plan() -> Plan:
        found = yield call("list_pulls")
        red = [str(p["id"]) for p in found["pulls"] if p["checks"] == "red"]
        yield call("comment", id=5, text=f"Pull request {', '.join(red)} er raud.")
        return "Kommentert."

    return Job(
        "Kva pull requests er raude? Skriv det som kommentar på sak 5.",
        plan,
        lambda _: _commented(world, 5, "er raud"),
        lambda: [Commit("list_pulls"), Commit("comment", {"id": 5})],
    )


def readme_comment(world: World) -> Job:
    def plan() -> Plan:
        yield call("read_file", path="README.md")
        yield call("read_pull", id=1)
        yield call("comment", id=4, text="The README is fine now, see pull request 1.")
        return "Commented."

    return Job(
        "Read README.md and pull request 1, then comment on issue 4: The README is fine now, see "
        "pull request 1.",
        plan,
        lambda _: _commented(world, 4, "fine now"),
        lambda: [
            Commit("read_file", {"path": "README.md"}),
            Commit("read_pull", {"id": 1}),
            Commit("comment", {"id": 4}),
        ],
    )


def rerun_failed(world: World) -> Job:
    def plan() -> Plan:
        found = yield call("list_builds")
        build = next(b for b in found["builds"] if b["status"] == "failed")
        yield call("read_log", build=build["id"])
        yield call("rerun_build", build=build["id"])
        return "It failed in a test; I started it again."

    return Job(
        "Find the build that failed, see why, and run it again.",
        plan,
        lambda _: world.value("SELECT count(*) FROM reruns WHERE build = 2") == 1,
        lambda: [Commit("list_builds"), Commit("read_log"), Commit("rerun_build")],
    )


def close_what_it_closes(world: World) -> Job:
    def plan() -> Plan:
        pull = yield call("read_pull", id=1)
        number = int(re.findall(r"Closes #(\d+)", pull["description"])[0])
        yield call("close_issue", id=number)
        return f"Lukket sak {number}."

    return Job(
        "Lukk saken som pull request 1 sier at den løser.",
        plan,
        lambda _: world.value("SELECT state FROM issues WHERE id = 5") == "closed",
        lambda: [Commit("read_pull", {"id": 1}), Commit("close_issue")],
    )


REPO_TASKS = tuple(
    Task(build.__name__, "repo", build)
    for build in (
        open_issues, why_slow, thank_reporter, close_typo, label_crash, merge_fix,
        review_then_merge, why_red, rerun_red, issue_from_log, changelog_line, drop_branch,
        which_version, release, triage, pulls_comment, readme_comment,
        rerun_failed, close_what_it_closes,
    )
)  # fmt: skip
