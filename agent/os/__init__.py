"""The in-memory OS: the recipe (`recipe.py`), the build (`build.py`), and what runs in it before the agent (`stage1`, `init`).

Core: this file is empty. Nothing of this folder is in the OS but the three scripts.
"""
