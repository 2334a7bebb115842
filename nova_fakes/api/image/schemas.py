"""The JSON schemas that the API publishes; clients build their models from them."""

from __future__ import annotations

from typing import Any

from nova_fakes.api.image.record import CONTAINER_FORMATS, DISK_FORMATS, VISIBILITIES

__all__ = ["SCHEMAS", "schema"]

UUID_PATTERN = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"
SCHEMAS = ("image", "images", "member", "members", "task", "tasks")


def schema(name: str) -> dict[str, Any]:
    """Return the schema of that name, one of `SCHEMAS`."""
    return {"image": _image, "images": _images, "member": _member, "members": _members, "task": _task, "tasks": _tasks}[
        name
    ]()


def _string(description: str, **more: object) -> dict[str, Any]:
    return {"type": "string", "description": description, **more}


def _nullable(kind: str, description: str, **more: object) -> dict[str, Any]:
    return {"type": ["null", kind], "description": description, **more}


def _image() -> dict[str, Any]:
    fixed = {"readOnly": True}
    loose = {"is_base": False}
    return {
        "name": "image",
        "properties": {
            "id": _string("Identifier of the image", pattern=UUID_PATTERN),
            "name": _nullable("string", "Descriptive name of the image", maxLength=255),
            "status": _string(
                "Status of the image",
                enum=[
                    "queued",
                    "saving",
                    "active",
                    "killed",
                    "deleted",
                    "uploading",
                    "importing",
                    "pending_delete",
                    "deactivated",
                ],
                **fixed,
            ),
            "visibility": _string("Who can see the image", enum=list(VISIBILITIES)),
            "protected": {"type": "boolean", "description": "Whether the image is safe from deletion"},
            "os_hidden": {"type": "boolean", "description": "Whether the image is left out of lists"},
            "checksum": _nullable("string", "md5 of the image's data", maxLength=32, **fixed),
            "os_hash_algo": _nullable("string", "Algorithm of os_hash_value", maxLength=64, **fixed),
            "os_hash_value": _nullable("string", "Hash of the image's data", maxLength=128, **fixed),
            "owner": _nullable("string", "Project that owns the image", maxLength=255),
            "size": _nullable("integer", "Size of the image's data in bytes", **fixed),
            "virtual_size": _nullable("integer", "Size of the disk in the image in bytes", **fixed),
            "container_format": _nullable("string", "Format of the container", enum=[None, *CONTAINER_FORMATS]),
            "disk_format": _nullable("string", "Format of the disk", enum=[None, *DISK_FORMATS]),
            "created_at": _string("When the image was registered", **fixed),
            "updated_at": _string("When the image was last changed", **fixed),
            "tags": {
                "type": "array",
                "items": {"type": "string", "maxLength": 255},
                "description": "Words that belong to the image",
            },
            "direct_url": _string("Where the data is in the store", **fixed),
            "min_ram": {"type": "integer", "description": "Memory in MiB that the image needs to boot"},
            "min_disk": {"type": "integer", "description": "Disk in GiB that the image needs to boot"},
            "self": _string("Path of the image", **fixed),
            "file": _string("Path of the image's data", **fixed),
            "stores": _string("Stores that have the data", **fixed),
            "schema": _string("Path of this schema", **fixed),
            "locations": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "url": {"type": "string", "maxLength": 255},
                        "metadata": {"type": "object"},
                        "validation_data": {"type": "object", "writeOnly": True},
                    },
                    "required": ["url", "metadata"],
                },
                "description": "Where the data is in external stores",
            },
            "kernel_id": _nullable("string", "Image that is the kernel of this one", pattern=UUID_PATTERN, **loose),
            "ramdisk_id": _nullable("string", "Image that is the RAM disk of this one", pattern=UUID_PATTERN, **loose),
            "instance_uuid": _string("Instance that the image was made of", **loose),
            "architecture": _string("Architecture of the operating system", **loose),
            "os_distro": _string("Distribution of the operating system", **loose),
            "os_version": _string("Version of the operating system", **loose),
            "description": _string("What the image is", **loose),
            "cinder_encryption_key_id": _string("Key of an encrypted volume's image", **loose),
            "cinder_encryption_key_deletion_policy": _string(
                "What becomes of the key with the image", enum=["on_image_deletion", "do_not_delete"], **loose
            ),
        },
        "additionalProperties": {"type": "string"},
        "links": [
            {"rel": "self", "href": "{self}"},
            {"rel": "enclosure", "href": "{file}"},
            {"rel": "describedby", "href": "{schema}"},
        ],
    }


def _images() -> dict[str, Any]:
    return {
        "name": "images",
        "properties": {
            "images": {"type": "array", "items": _image()},
            "first": {"type": "string"},
            "next": {"type": "string"},
            "schema": {"type": "string"},
        },
        "links": [
            {"rel": "first", "href": "{first}"},
            {"rel": "next", "href": "{next}"},
            {"rel": "describedby", "href": "{schema}"},
        ],
    }


def _member() -> dict[str, Any]:
    return {
        "name": "member",
        "properties": {
            "created_at": _string("When the project became a member"),
            "image_id": _string("Identifier of the image", pattern=UUID_PATTERN),
            "member_id": _string("Project that the image is shared with"),
            "status": _string("What the project makes of it", enum=["pending", "accepted", "rejected"]),
            "updated_at": _string("When the status was last changed"),
            "schema": {"readOnly": True, "type": "string"},
        },
    }


def _members() -> dict[str, Any]:
    return {
        "name": "members",
        "properties": {"members": {"type": "array", "items": _member()}, "schema": {"type": "string"}},
        "links": [{"rel": "describedby", "href": "{schema}"}],
    }


def _task() -> dict[str, Any]:
    return {
        "name": "task",
        "properties": {
            "id": _string("Identifier of the task", pattern=UUID_PATTERN),
            "type": _string("Type of the task", enum=["import", "api_image_import", "location_import"]),
            "status": _string("Status of the task", enum=["pending", "processing", "success", "failure"]),
            "input": _nullable("object", "What the task was asked for"),
            "result": _nullable("object", "What came of the task"),
            "owner": _string("Project that owns the task"),
            "message": _string("Why the task failed"),
            "image_id": _string("Image that the task is about"),
            "request_id": _string("Request that the task was made for"),
            "user_id": _string("User who asked for the task"),
            "expires_at": _nullable("string", "When the task may be forgotten"),
            "created_at": _string("When the task was made"),
            "updated_at": _string("When the task was changed last"),
            "self": _string("Path of the task"),
            "schema": _string("Path of this schema"),
        },
    }


def _tasks() -> dict[str, Any]:
    return {
        "name": "tasks",
        "properties": {
            "tasks": {"type": "array", "items": _task()},
            "first": _string("Path of the first page"),
            "next": _string("Path of the next page"),
            "schema": _string("Path of this schema"),
        },
        "links": [{"href": "{first}", "rel": "first"}, {"href": "{next}", "rel": "next"}],
    }
