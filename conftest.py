"""For all tests: nbval runs cells as JupyterLab does, so that a trailing `;` hides a result there and here; the
pictures that it leaves out are compared too; and where no service can be started, what live cells print is not compared, and said so."""

import signal

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    # shells let background jobs ignore it, but tests and kernels are interrupted by it
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.pluginmanager.hasplugin("nbval"):
        _keep_history()
        _compare_pictures()


def _keep_history():
    from nbval.kernel import RunningKernel

    if getattr(RunningKernel, "_keeps_history", False):
        return

    def execute_cell_input(self, cell_input, allow_stdin=None):
        return self.kc.execute(cell_input, allow_stdin=allow_stdin, stop_on_error=False, store_history=True)

    RunningKernel.execute_cell_input = execute_cell_input
    RunningKernel._keeps_history = True


def _compare_pictures():
    from nbval.plugin import IPyNbCell

    if getattr(IPyNbCell, "_compares_pictures", False):
        return
    from mlprod_tools.figures import changes

    compare_text = IPyNbCell.compare_outputs

    def compare_outputs(self, test, ref, skip_compare=None):
        if not compare_text(self, test, ref, skip_compare):
            return False
        self.comparison_traceback.extend(changes(ref, test))
        return not self.comparison_traceback

    IPyNbCell.compare_outputs = compare_outputs
    IPyNbCell._compares_pictures = True


# they take minutes: they begin first, so that no core waits at the end for what the other one still has to do
SLOWEST = ("test_site", "test_serving_generated", "test_browser_lessons", "09_model_serving")
ONE_BY_ONE = ("test_serving_generated.py", "test_browser_lessons.py")  # their parameters share little


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A module's tests run on one core, since they share fixtures; of some modules, those of one parameter do."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            scope = super()._split_scope(nodeid)
            return f"{scope}[{nodeid.split('[')[-1]}" if scope.endswith(ONE_BY_ONE) else scope

    if config.getvalue("dist") != "loadscope":
        return None
    config.option.loadscopereorder = False
    return Scheduling(config, log)


def pytest_collection_modifyitems(items):
    items.sort(key=_place)
    live = [item for item in items if _is_live(item)]
    if not live:
        return
    from mlprod_helpers.serving import refusal

    if why := refusal():
        for item in live:
            item.options["check"] = False
            item.warn(pytest.PytestWarning(f"run, but not compared. {why}"))


def _place(item):
    stem = item.path.stem
    return SLOWEST.index(stem) if stem in SLOWEST else len(SLOWEST)


def _is_live(item):
    return hasattr(item, "cell") and item.options["check"] and "\nif LIVE:" in f"\n{item.cell.source}"
