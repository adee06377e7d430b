"""Uploads a release to the hub: private by default, and never with a token in a message."""

from __future__ import annotations

from pathlib import Path

from statllama.errors import ExportError, UsageError


def push(folder: Path, repo: str, public: bool = False) -> str:
    """Create the repository where it is not there, upload the folder, and return its address.

    The token is that of `hf auth login` or HF_TOKEN, read by huggingface_hub. UsageError for what is no repository id;
    ExportError, with the hub's status alone, when it refuses or cannot be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        api = HfApi()
        address = api.create_repo(repo, private=not public, exist_ok=True)
        api.upload_folder(folder_path=folder, repo_id=repo, commit_message=f"Release {folder.name}")
    except HFValidationError:
        raise UsageError(f"--push {repo!r}: expected a hub repository `owner/name`") from None
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "nothing"
        remedy = "log in with `hf auth login` and a token with write access, or check the name"
        raise ExportError(f"the hub answered {status} to the upload of {folder} to {repo}", remedy=remedy) from None
    except Exception as error:  # no network shows as OSError, as the HTTP client's own errors, or as offline mode
        raise ExportError(
            f"the hub cannot be reached ({type(error).__name__}); the release is in {folder}",
            remedy="upload it later: hf upload REPO FOLDER",
        ) from None
    return str(address)
