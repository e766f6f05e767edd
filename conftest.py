"""For all tests: nbval runs cells as JupyterLab does, so that a trailing `;` hides a result there and here."""

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
