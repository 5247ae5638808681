"""`shell`: the workflow's own command, in the file system of the standard actions.

Shell, standard library only. Law: the `command` of the workflow takes this program's place in the container, so its exit status
and what it says are the action's; this program speaks only where there is none.
"""

from __future__ import annotations

from agent.actions.base import Action, Job
from agent.actions.settings import Failed


def act(job: Job) -> None:
    raise Failed('there is nothing to run: give this action a command, such as ["sh", "-c", "uname -a"]')


ACTION = Action("shell", "Runs the workflow's own `command`, with the programs of all actions.", (), act, replaced=True)

if __name__ == "__main__":
    ACTION.program()
