"""The image service: what images there are, who may see and change them, and what becomes of their bytes."""

from __future__ import annotations

import copy
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nova_fakes.api.auth import Token
from nova_fakes.api.image.attributes import TAGS_LIMIT, check_formats, check_size, remove, set_attribute
from nova_fakes.api.image.metadefs.catalog import Metadefs
from nova_fakes.api.image.query import Query
from nova_fakes.api.image.record import Image, Member
from nova_fakes.api.image.stores import Stores
from nova_fakes.api.image.tasks import Tasks
from nova_fakes.api.image.visibility import listed, visible
from nova_fakes.clock import Clock
from nova_fakes.exceptions import ApiError

__all__ = ["ImageService"]

STAGED = "staged-"


class ImageService:
    """A Glance without a database, safe to use from many threads.

    Methods take the token of whoever asks, and refuse what Glance's default policy refuses him. What they return
    belongs to the service; `Image.show` makes a copy for the outside.

    Args:
        clock: dates images.
        directory: where the bytes go; made if it is missing.
        size_limit_bytes: what an image may have at most (glance-api.conf image_size_cap); None for no limit.
        stores: names of the stores, the default one first; () for a single one without a name.
    """

    def __init__(
        self, clock: Clock, directory: Path | str, *, size_limit_bytes: int | None = None, stores: Sequence[str] = ()
    ) -> None:
        self._clock = clock
        self.stores = Stores(Path(directory), size_limit_bytes, stores)
        self.tasks = Tasks(clock)
        self.metadefs = Metadefs(clock)
        self._content = self.stores.content(self.stores.default)
        self._lock = threading.RLock()
        self._images: dict[str, Image] = {}
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._images)

    def create(self, token: Token, values: Mapping[str, Any]) -> Image:
        """Register an image, still without bytes, and return it.

        Args:
            token: who asks; the image belongs to his project.
            values: attributes and properties as they came in JSON.

        Raises:
            ApiError: 400, a value cannot be used; 403, an attribute may not be set; 409, the id is taken.
        """
        with self._lock:
            now = self._clock.now()
            image = Image(str(uuid.uuid4()), token.project_id, now, now, self._sequence)
            for name, value in values.items():
                set_attribute(image, name, value, token, new=True)
            if image.id in self._images:
                raise ApiError(409, f"Image ID {image.id} already exists!")
            self._sequence += 1
            self._images[image.id] = image
            return image

    def get(self, token: Token, image_id: str) -> Image:
        """Return an image.

        Raises:
            ApiError: 404, it is not there, or this project may not see it.
        """
        image = self._images.get(image_id)
        if image is None or not visible(token, image):
            raise ApiError(404, f"No image found with ID {image_id}")
        return image

    def select(self, token: Token, query: Query) -> tuple[list[Image], bool]:
        """Return a page of images, and whether more follow.

        Raises:
            ApiError: 400, the marker names no image that can be seen.
        """
        with self._lock:
            marker = None
            if query.marker is not None:
                marker = self._images.get(query.marker)
                if marker is None or not visible(token, marker):
                    raise ApiError(400, f"Invalid marker. Image could not be found: {query.marker}.")
            images = [
                image
                for image in self._images.values()
                if image is marker or (listed(token, image, query) and query.matches(image))
            ]
        query.sort(images)
        if marker is not None:
            # It counts for its place alone, which it has even if the filters would leave it out.
            images = images[images.index(marker) + 1 :]
        return images[: query.limit], len(images) > query.limit > 0

    def update(self, token: Token, image_id: str, operations: Iterable[tuple[str, str, Any]]) -> Image:
        """Apply a patch to an image, all of it or nothing, and return the image.

        Args:
            token: who asks.
            image_id: which image.
            operations: ("add", "replace" or "remove"; attribute; value) in order.

        Raises:
            ApiError: 404, no such image; 403, it is another project's, or an attribute may not be set; 400, a value
                cannot be used; 409, a property to be replaced or removed is not there.
        """
        with self._lock:
            image = self._own(token, image_id, "modify_image")
            changed = copy.deepcopy(image)
            for operation, name, value in operations:
                if operation == "remove":
                    remove(changed, name)
                    continue
                known = len(changed.properties)
                set_attribute(changed, name, value, token, new=False)
                if operation == "replace" and len(changed.properties) > known:
                    raise ApiError(409, f"Property {name} does not exist.")
            changed.updated_at = self._clock.now()
            self._images[image_id] = changed
            return changed

    def delete(self, token: Token, image_id: str) -> None:
        """Delete an image and its bytes.

        Raises:
            ApiError: 404, no such image; 403, it is another project's, or protected.
        """
        with self._lock:
            image = self._own(token, image_id, "delete_image")
            if image.protected:
                raise ApiError(403, f"Image {image_id} is protected and cannot be deleted.")
            del self._images[image_id]
        self.stores.delete(image_id)
        self._content.delete(STAGED + image_id)

    def upload(
        self,
        token: Token,
        image_id: str,
        blocks: Iterable[bytes],
        size_bytes: int | None = None,
        store: str | None = None,
    ) -> None:
        """Take an image's bytes; it is active afterwards. If it fails, the image is as it was.

        Args:
            token: who asks.
            image_id: which image.
            blocks: the bytes, as they come.
            size_bytes: how many were announced, if any were.
            store: where they are to be kept; the default one if None.

        Raises:
            ApiError: 404, no such image; 403, another project's; 409, it has bytes already; 400, no such store, its
                formats are not set, or other than the announced bytes came; 413, too many; 410, it was
                deleted meanwhile.
        """
        store = self.stores.default if store is None else store
        self.stores.content(store)
        with self._lock:
            image = self._own(token, image_id, "upload_image")
            if image.status != "queued":
                raise ApiError(409, f"Image status transition from {image.status} to saving is not allowed")
            check_formats(image)
            image.status = "saving"
        self._save(image_id, blocks, size_bytes, "queued", store)

    def stage(self, token: Token, image_id: str, blocks: Iterable[bytes], size_bytes: int | None = None) -> None:
        """Take an image's bytes without making it active, for `import_staged`; arguments and errors as for `upload`."""
        with self._lock:
            image = self._own(token, image_id, "modify_image")
            if image.status != "queued":
                raise ApiError(409, f"Image status transition from {image.status} to uploading is not allowed")
            image.status = "uploading"
        try:
            stored = self._content.write(STAGED + image_id, blocks)
            check_size(size_bytes, stored.size_bytes)
        except BaseException:
            self._content.delete(STAGED + image_id)
            self._restore(image_id, "queued")
            raise

    def require_staged(self, token: Token, image_id: str) -> Image:
        """Return an image whose bytes were staged; ApiError 404, 403, 409, 400 as `import_staged`."""
        with self._lock:
            image = self._own(token, image_id, "modify_image")
            if image.status != "uploading":
                raise ApiError(409, "Image needs to be staged before 'glance-direct' method can be used")
            check_formats(image)
            return image

    def import_staged(self, token: Token, image_id: str, stores: Sequence[str] = ()) -> None:
        """Make an image active with the bytes that were staged.

        Args:
            token: who asks.
            image_id: which image.
            stores: where its bytes are to be kept; in the default one if none is named.

        Raises:
            ApiError: 404, no such image; 403, another project's; 409, nothing was staged; 400, its formats are not set.
        """
        first, *others = stores or (self.stores.default,)
        with self._lock:
            image = self.require_staged(token, image_id)
            blocks = self._content.read(STAGED + image_id)
            image.status = "importing"
        self._save(image_id, blocks, None, "uploading", first)
        self._content.delete(STAGED + image_id)
        self.copy(token, image_id, others)

    def without(self, token: Token, image_id: str, stores: Sequence[str]) -> list[str]:
        """Return those of the stores that an active image is not in, for its copies.

        Raises:
            ApiError: 404, no such image; 403, he is no administrator; 409, it is not active.
        """
        image = self.get(token, image_id)
        if not token.is_admin:
            raise ApiError(403, "You are not authorized to complete copy_image action.")
        if image.status != "active":
            raise ApiError(409, "Only images with status active can be targeted for copying")
        return [name for name in stores if name not in (image.stores or [self.stores.default])]

    def copy(self, token: Token, image_id: str, stores: Sequence[str]) -> None:
        """Copy an active image's bytes into further stores; ApiError 404, or 410 if it was deleted meanwhile."""
        for name in stores:
            self.stores.content(name).write(image_id, self.read(image_id))
            with self._lock:
                image = self._images.get(image_id)
                if image is None:
                    self.stores.delete(image_id)
                    raise ApiError(410, f"Image {image_id} was deleted while its data was copied.")
                image.stores = [*(image.stores or [self.stores.default]), name]
                image.updated_at = self._clock.now()

    def leave(self, token: Token, image_id: str, store: str) -> None:
        """Delete an image's bytes from one of several stores.

        Raises:
            ApiError: 404, no such image, or it is not in that store; 403, another project's, a protected image, or
                its only store.
        """
        with self._lock:
            image = self._own(token, image_id, "delete_image_location")
            if image.protected:
                raise ApiError(403, f"Image {image_id} is protected and cannot be deleted.")
            if store not in image.stores:
                raise ApiError(404, f"Image {image_id} is not stored in store {store}.")
            if len(image.stores) == 1:
                raise ApiError(
                    403,
                    "Cannot delete image data from the only store containing it. Consider deleting the image instead.",
                )
            image.stores = [name for name in image.stores if name != store]
            image.updated_at = self._clock.now()
        self.stores.content(store).delete(image_id)

    def download(self, token: Token, image_id: str) -> Image:
        """Return an image whose bytes may be read with `read`.

        Raises:
            ApiError: 404, no such image; 403, it is deactivated.
        """
        image = self.get(token, image_id)
        if image.status == "deactivated" and not token.is_admin:
            raise ApiError(403, "The requested image has been deactivated. Image data download is forbidden.")
        return image

    def read(self, image_id: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Return an iterator over an image's bytes from `start` up to `stop`; ApiError 404 if there are none."""
        image = self._images.get(image_id)
        return self.stores.holding(image.stores if image is not None else ()).read(image_id, start, stop)

    def deactivate(self, token: Token, image_id: str) -> None:
        """Forbid downloads of an active image; ApiError 403 to other projects, 404, 403 in another state."""
        self._switch(token, image_id, "active", "deactivated")

    def reactivate(self, token: Token, image_id: str) -> None:
        """Undo `deactivate`; errors alike."""
        self._switch(token, image_id, "deactivated", "active")

    def tag(self, token: Token, image_id: str, tag: str) -> None:
        """Add a tag; nothing happens if it is there. ApiError 403, 404, 400 too long, 413 too many."""
        with self._lock:
            image = self._own(token, image_id, "modify_image")
            if len(tag) > 255:
                raise ApiError(400, f"The tag '{tag[:20]}…' is longer than 255 characters.")
            if tag not in image.tags:
                if len(image.tags) >= TAGS_LIMIT:
                    raise ApiError(413, f"Maximum number of tags ({TAGS_LIMIT}) exceeded.")
                image.tags.append(tag)
                image.updated_at = self._clock.now()

    def untag(self, token: Token, image_id: str, tag: str) -> None:
        """Remove a tag; ApiError 403, 404 if the image has none like that."""
        with self._lock:
            image = self._own(token, image_id, "modify_image")
            if tag not in image.tags:
                raise ApiError(404, f"Image {image_id} has no tag '{tag}'.")
            image.tags.remove(tag)
            image.updated_at = self._clock.now()

    def add_member(self, token: Token, image_id: str, member_id: str) -> tuple[Image, Member]:
        """Share an image with a project, whose answer is pending then.

        Raises:
            ApiError: 404, no such image; 403, another project's, or not a shared one; 409, it is shared with it
                already.
        """
        with self._lock:
            image = self._own(token, image_id, "add_member")
            if image.visibility != "shared":
                raise ApiError(403, f"Only shared images have members; image {image_id} is {image.visibility}.")
            if member_id in image.members:
                raise ApiError(409, f"Member {member_id} is duplicated for image {image_id}")
            now = self._clock.now()
            member = image.members[member_id] = Member(member_id, "pending", now, now)
            return image, member

    def members(self, token: Token, image_id: str) -> tuple[Image, list[Member]]:
        """Return those that an image is shared with: all to its owner, himself to a member; ApiError 403, 404."""
        with self._lock:
            image = self.get(token, image_id)
            if image.visibility != "shared":
                raise ApiError(403, f"Only shared images have members; image {image_id} is {image.visibility}.")
            everyone = list(image.members.values())
            if token.is_admin or image.owner == token.project_id:
                return image, everyone
            return image, [member for member in everyone if member.member_id == token.project_id]

    def member(self, token: Token, image_id: str, member_id: str) -> tuple[Image, Member]:
        """Return one of those that an image is shared with; ApiError 403, 404."""
        image, members = self.members(token, image_id)
        for member in members:
            if member.member_id == member_id:
                return image, member
        raise ApiError(404, f"{member_id} not found in the member list of the image {image_id}.")

    def answer_member(self, token: Token, image_id: str, member_id: str, status: str) -> tuple[Image, Member]:
        """Set what a member makes of an image: "accepted", "rejected" or "pending".

        Raises:
            ApiError: 404, no such image or member; 403, only the member himself decides; 400, no such status.
        """
        with self._lock:
            image, member = self.member(token, image_id, member_id)
            if not token.is_admin and member_id != token.project_id:
                raise ApiError(403, "You are not permitted to modify 'status' on this image member.")
            if status not in ("accepted", "rejected", "pending"):
                raise ApiError(400, f"Status must be accepted, rejected or pending, not {status!r}.")
            member.status = status
            member.updated_at = self._clock.now()
            return image, member

    def remove_member(self, token: Token, image_id: str, member_id: str) -> None:
        """Stop sharing an image with a project; ApiError 403, 404."""
        with self._lock:
            image = self._own(token, image_id, "delete_member")
            if member_id not in image.members:
                raise ApiError(404, f"{member_id} not found in the member list of the image {image_id}.")
            del image.members[member_id]

    def dump(self) -> dict[str, Any]:
        """Return all descriptions as JSON-able data; the bytes stay where they are."""
        with self._lock:
            return {
                "version": 1,
                "sequence": self._sequence,
                "images": [image.dump() for image in self._images.values()],
                "tasks": self.tasks.dump(),
                "metadefs": self.metadefs.dump(),
            }

    def load(self, state: Mapping[str, Any]) -> None:
        """Replace all descriptions by what `dump` returned; ApiError 500, it is none. Uploads under way have failed."""
        if state.get("version") != 1:
            raise ApiError(500, f"image state of version {state.get('version')!r} cannot be loaded; 1 is needed")
        with self._lock:
            self._sequence = state["sequence"]
            self._images = {}
            self.tasks.load(state.get("tasks", ()))
            self.metadefs.load(state.get("metadefs", {}))
            for values in state["images"]:
                image = Image.load(values)
                if image.status in ("saving", "uploading", "importing"):
                    image.status = "queued"
                self._images[image.id] = image

    def _own(self, token: Token, image_id: str, action: str) -> Image:
        """Return an image that this project may change."""
        image = self.get(token, image_id)
        if not token.is_admin and (image.owner is None or image.owner != token.project_id):
            raise ApiError(403, f"You are not authorized to complete {action} action.")
        return image

    def _save(self, image_id: str, blocks: Iterable[bytes], size_bytes: int | None, before: str, store: str) -> None:
        content = self.stores.content(store)
        try:
            stored = content.write(image_id, blocks)
            check_size(size_bytes, stored.size_bytes)
        except BaseException:
            content.delete(image_id)
            self._restore(image_id, before)
            raise
        with self._lock:
            image = self._images.get(image_id)
            if image is None:
                content.delete(image_id)
                raise ApiError(410, f"Image {image_id} was deleted while its data was uploaded.")
            image.size = stored.size_bytes
            image.virtual_size = stored.virtual_size_bytes(image.disk_format)
            image.checksum = stored.md5
            image.os_hash_algo = "sha512"
            image.os_hash_value = stored.sha512
            image.stores = [store] if store else []
            image.status = "active"
            image.updated_at = self._clock.now()

    def _restore(self, image_id: str, status: str) -> None:
        with self._lock:
            if image_id in self._images:
                self._images[image_id].status = status

    def _switch(self, token: Token, image_id: str, before: str, after: str) -> None:
        with self._lock:
            action = "deactivate" if after == "deactivated" else "reactivate"
            image = self._own(token, image_id, action)
            if image.status not in (before, after):
                raise ApiError(403, f"Not allowed to {action} image in status '{image.status}'")
            image.status = after
            image.updated_at = self._clock.now()
