"""Addresses that open the course elsewhere: Binder, Colab, Codespaces, nbgitpuller. They follow from `[tool.mlprod] repository`."""

from urllib.parse import quote, urlencode


def links(address, notebook="notebooks/00_start_here.ipynb", hub=""):
    """Launch links of one notebook.

    Parameters
    ----------
    address : str
        The repository on GitHub, such as "https://github.com/owner/name"; no links are made while it is empty.
    notebook : str
        Path in the repository.
    hub : str, optional
        A JupyterHub with nbgitpuller, such as "https://hub.example.org".

    Returns
    -------
    dict
        Name -> address.

    Raises
    ------
    ValueError
        If the address is not a GitHub repository.

    Examples
    --------
    >>> links("")
    {}
    >>> links("https://github.com/owner/name")["Binder"]
    'https://mybinder.org/v2/gh/owner/name/HEAD?urlpath=lab%2Ftree%2Fnotebooks%2F00_start_here.ipynb'
    """
    if not address:
        return {}
    prefix, parts = "https://github.com/", address.removesuffix(".git").removesuffix("/").split("/")
    if not address.startswith(prefix) or len(parts) != 5 or not all(parts[3:]):
        raise ValueError(
            f"`repository` in pyproject.toml is {address!r}; write https://github.com/OWNER/NAME, or leave it empty"
        )
    owner, name = parts[3:]
    found = {
        "Binder": f"https://mybinder.org/v2/gh/{owner}/{name}/HEAD?"
        + urlencode({"urlpath": f"lab/tree/{notebook}"}),
        "Colab": f"https://colab.research.google.com/github/{owner}/{name}/blob/HEAD/{quote(notebook)}",
        "Codespaces": f"https://codespaces.new/{owner}/{name}",
    }
    if hub:
        query = {"repo": f"{prefix}{owner}/{name}", "urlpath": f"lab/tree/{name}/{notebook}"}
        found["nbgitpuller"] = f"{hub.rstrip('/')}/hub/user-redirect/git-pull?" + urlencode(query)
    return found
