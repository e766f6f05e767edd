"""For all tests: nbval runs cells as JupyterLab does, so that a trailing `;` hides a result there and here; and where no service
can be started, what live cells print is not compared, and said so."""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    if config.pluginmanager.hasplugin("nbval"):
        _keep_history()


def _keep_history():
    from nbval.kernel import RunningKernel

    if getattr(RunningKernel, "_keeps_history", False):
        return

    def execute_cell_input(self, cell_input, allow_stdin=None):
        return self.kc.execute(cell_input, allow_stdin=allow_stdin, stop_on_error=False, store_history=True)

    RunningKernel.execute_cell_input = execute_cell_input
    RunningKernel._keeps_history = True


def pytest_collection_modifyitems(items):
    live = [item for item in items if _is_live(item)]
    if not live:
        return
    from mlprod_helpers.serving import refusal

    if why := refusal():
        for item in live:
            item.options["check"] = False
            item.warn(pytest.PytestWarning(f"run, but not compared. {why}"))


def _is_live(item):
    return hasattr(item, "cell") and item.options["check"] and "\nif LIVE:" in f"\n{item.cell.source}"
