"""`reboot`: for templates that restart the machine by an action, as Tinkerbell's do.

Shell, standard library only. Law: an action never restarts the machine itself, for then nobody would ever hear how its run
ended; the workflow's `then: reboot`, which is what it says by default, does so once the server has the report.
"""

from __future__ import annotations

from agent.actions.base import Action, Job


def act(job: Job) -> None:
    job.say("the machine restarts when its run has ended and the server knows how, unless the workflow's `then` says otherwise")


ACTION = Action("reboot", "Says that the machine restarts when its run has ended.", (), act)

if __name__ == "__main__":
    ACTION.program()
