"""What a page adds to widgets: names and values for screen readers, keys that stay inside, a word when the kernel is gone.

ipywidgets gives a slider's handle no name, and JupyterLab takes `b`, `x` and the arrows as its own while a widget has the focus.
A front end that runs no scripts in widgets shows them as ipywidgets made them.
"""

from __future__ import annotations

import html

STOPPED = "The kernel was restarted or has ended, so these controls do nothing now. Run this cell again to use them."

# Keys with Ctrl, Cmd or Alt, Shift+Enter and Escape stay JupyterLab's, so that one can still save, run and leave. The listener is
# on the window because JupyterLab listens on the document, before the widget does.
_SCRIPT = """
window.mlprodKeysStay ??= !window.addEventListener('keydown', event => {
  const theirs = event.ctrlKey || event.metaKey || event.altKey || event.key === 'Escape' || (event.shiftKey && event.key === 'Enter');
  if (event.target.closest?.('.mlprod-widgets')) event.target.toggleAttribute('data-lm-suppress-shortcuts', !theirs);
}, true);
const box = this.closest('.mlprod-widgets');
const write = (element, name, text) => element.getAttribute(name) === text || element.setAttribute(name, text);
const describe = () => {
  for (const slider of box.querySelectorAll('.widget-hslider')) {
    const [handle, label, value] = ['[role=slider]', '.widget-label', '.widget-readout'].map(part => slider.querySelector(part));
    if (!handle || !label || !value) continue;
    write(handle, 'aria-label', label.textContent);
    write(handle, 'aria-valuetext', value.textContent);
    if (slider.classList.contains('mlprod-stops')) continue;
    const number = Number(value.textContent.replaceAll(',', ''));
    if (!Number.isNaN(number)) write(handle, 'aria-valuenow', String(number));
    write(value, 'role', 'textbox');
    write(value, 'aria-label', label.textContent + ', as a number');
  }
};
const seen = {subtree: true, childList: true, characterData: true, attributes: true};
new MutationObserver(describe).observe(box, {...seen, attributeFilter: ['aria-valuetext', 'aria-valuenow']});
describe();
"""

# the widget manager marks each widget whose kernel is gone
_STYLE = """
.mlprod-stopped { display: none; border-left: 4px solid #b45309; padding: 4px 10px; margin: 4px 0; line-height: 1.5; white-space: normal }
.jupyter-widgets-disconnected > * > .mlprod-stopped, .jupyter-widgets-disconnected > .mlprod-stopped { display: block }
.mlprod-state :is(td, th) { padding: 2px 6px }
.mlprod-light { white-space: nowrap }
@media (max-width: 1000px) {
  .mlprod-state { font-size: 11px }
  .mlprod-state :is(td, th) { padding: 2px }
}
.mlprod-widgets.jupyter-widgets-disconnected :is(.widget-slider, .widget-dropdown, .widget-button, .widget-text, .widget-toggle-button) {
  opacity: 0.5; pointer-events: none }
.mlprod-widgets.jupyter-widgets-disconnected::before, .mlprod-widgets .jupyter-widgets-disconnected::before { content: none !important }
.jupyter-widgets-disconnected .mlprod-light > * { display: none }
.jupyter-widgets-disconnected .mlprod-light::after { content: "ended" }
"""


def at_home(box, stopped=STOPPED):
    """Make a box of widgets at home on the page.

    Parameters
    ----------
    box : ipywidgets.Box. Its first child becomes a line that is empty while the kernel runs.
    stopped : str. What this line says after a restart of the kernel.

    Returns
    -------
    ipywidgets.Box : The same box.
    """
    import ipywidgets

    style = f'<style onload="{html.escape(_SCRIPT)}">{_STYLE}</style>'
    line = f'<div class="mlprod-stopped" role="alert">{html.escape(stopped)}</div>'
    box.add_class("mlprod-widgets")
    box.children = (ipywidgets.HTML(style + line, layout={"margin": "0"}), *box.children)
    return box
