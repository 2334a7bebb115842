"""Results in parts: pages (RFC 2696), and windows on sorted entries (draft-ietf-ldapext-ldapv3-vlv-09)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nova_fakes.ldap.access import Identity
from nova_fakes.ldap.controls import Asked, paged_response, sort_response, window_response
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.entry import Entry
from nova_fakes.ldap.messages import Control
from nova_fakes.ldap.options import Entries, Options, ReadEntry, Scope, SearchRequest
from nova_fakes.ldap.results import LdapError, ResultCode
from nova_fakes.ldap.sorting import MAX_KEYS, Sorting, Window

__all__ = ["Listings"]

MAX_LISTS = 5
SORT_MISSING, OUT_OF_RANGE = 76, 77


@dataclass(frozen=True, slots=True)
class _Page:
    """Where the next page begins: after an entry's number, or what is left of sorted entries."""

    cookie: bytes
    last: int
    left: list[ReadEntry]


class Listings:
    """The results that one connection takes in parts."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._cookie = 0
        self._page: _Page | None = None
        self._paged_count = 0
        self._lists: dict[bytes, list[Entry]] = {}

    def search(self, who: Identity, request: SearchRequest, asked: Asked, answers: list[Control]) -> Entries:
        """Do a search and return what is to be given of it.

        :param answers: where the controls of its result are added

        :raises LdapError: what slapd answers where it cannot search
        """
        options = asked.options
        page = asked.page
        if page is not None and 0 < request.size_limit <= page[0]:
            page = None
        is_elsewhere = not self._directory.holds(self._directory.parse_dn(request.base))
        if not is_elsewhere:
            self._refuse(options, page, asked.window)
        if asked.window is not None and not is_elsewhere:
            return self._windowed(who, request, options, asked.window, answers)
        if page is not None and not is_elsewhere:
            result, cookie = self._paged(who, request, options, *page)
            answers.append(paged_response(cookie))
        else:
            result = self._directory.search(who, request, options)
        if options.sort and not result.is_cut and not is_elsewhere:
            answers.insert(0, sort_response(ResultCode.SUCCESS))
        return result

    def _refuse(self, options: Options, page: tuple[int, bytes] | None, window: Window | None) -> None:
        if window is not None and not options.sort:
            error = LdapError(ResultCode.VLV_ERROR, "Sort control is required with VLV")
            error.controls.append(window_response(0, 0, SORT_MISSING))
            raise error
        if len(options.sort) > MAX_KEYS:
            raise LdapError(ResultCode.UNWILLING_TO_PERFORM, "Too many sort keys")
        if page is not None and window is not None:
            raise LdapError(ResultCode.UNWILLING_TO_PERFORM, "VLV incompatible with PagedResults")
        context = page[1] if page is not None else window.context if window is not None else b""
        pages = self._page is not None and bool(self._page.left)
        if options.sort and not context and len(self._lists) + pages >= MAX_LISTS:
            raise LdapError(ResultCode.BUSY, "Other sort requests already in progress")

    # -- pages -------------------------------------------------------------

    def _paged(
        self, who: Identity, request: SearchRequest, options: Options, size: int, cookie: bytes
    ) -> tuple[Entries, bytes]:
        """Return a page of what a search finds, and the cookie for the next."""
        before = self._page
        if cookie and (before is None or before.cookie != cookie):
            self._directory.search(who, replace(request, scope=Scope.BASE), options)  # no base: that is said first
            raise LdapError(ResultCode.PROTOCOL_ERROR, "paged results cookie is invalid")
        self._page = None
        if not cookie:
            before = None
            self._paged_count = 0
        if size == 0:
            return Entries(), b"" if cookie else self._keep(0, [])
        if options.sort:
            return self._sorted_page(who, request, options, size, before.left if before is not None else None)
        left = request.size_limit - self._paged_count if request.size_limit else size
        page = replace(request, size_limit=size + 1 if left >= size else max(left, 1))
        after = before.last if before is not None else 0
        result = self._directory.search(who, page, replace(options, after=after))
        if not left:
            result.is_cut = bool(result.found)
            result.found.clear()
        return self._cut(result, size)

    def _cut(self, result: Entries, size: int) -> tuple[Entries, bytes]:
        """Leave the entries of one page, and note where the next begins."""
        has_more = len(result.found) > size
        result.is_cut = result.is_cut and not has_more
        if has_more:
            del result.found[size:]
        self._paged_count += len(result.found)
        if not has_more:
            return result, b""
        return result, self._keep(self._last_number(result), [])

    def _last_number(self, result: Entries) -> int:
        entry, _ = self._directory.find(self._directory.schema.dn(result.found[-1][0]))
        return entry.id if entry is not None else result.last

    def _new_cookie(self) -> bytes:
        self._cookie += 1
        return self._cookie.to_bytes(8, "little")

    def _keep(self, last: int, left: list[ReadEntry]) -> bytes:
        self._page = _Page(self._new_cookie(), last, left)
        return self._page.cookie

    def _sorted_page(
        self, who: Identity, request: SearchRequest, options: Options, size: int, left: list[ReadEntry] | None
    ) -> tuple[Entries, bytes]:
        every = replace(request, size_limit=0)
        result = self._directory.search(who, every, options) if left is None else Entries(left)
        rest = result.found[size:]
        del result.found[size:]
        return result, self._keep(0, rest) if rest else b""

    # -- windows -----------------------------------------------------------

    def _windowed(
        self, who: Identity, request: SearchRequest, options: Options, window: Window, answers: list[Control]
    ) -> Entries:
        """Return a part of the sorted entries, and tell where it is."""
        search = self._directory.prepared(who, request, options)
        result = Entries()
        context = window.context
        if context not in self._lists:
            entries = search.entries(result)
            context = self._new_cookie()
            if entries:
                self._lists[context] = entries
        entries = self._lists.get(context, [])
        target, first, count = self._placed(entries, options, window, context)
        search.give([one for one in entries[first : first + count] if self._is_there(one)], result)
        if not result.is_cut:
            answers += [sort_response(ResultCode.SUCCESS), window_response(target, len(entries), 0, context)]
        return result

    def _is_there(self, entry: Entry) -> bool:
        while entry.parent is not None:
            if entry.parent.children is None or entry.parent.children.get(entry.key) is not entry:
                return False
            entry = entry.parent
        return entry is self._directory.root

    def _placed(
        self, entries: Sequence[Entry], options: Options, window: Window, context: bytes
    ) -> tuple[int, int, int]:
        """Return the target's place from 1, the first place of the window from 0, and how many entries it has.

        :raises LdapError: VLV_ERROR where there is no such place
        """
        if not entries:
            return 0, 0, 0
        if window.value is None:
            target = self._offset(len(entries), window, context)
            place: int | None = max(target - 1, 0)
        else:
            place = self._of_value(entries, options, window.value, context)
            target = len(entries) + 1 if place is None else place + 1
        moved = 0
        if place is None:
            moved, place = 1, len(entries) - 1
        steps = max(min(window.before - moved, place), 0)
        return target, place - steps, moved + steps + window.after + 1

    def _offset(self, count: int, window: Window, context: bytes) -> int:
        if window.offset == window.total:
            return count
        if window.offset == 1:
            return 1
        if window.total and window.total != count:
            if window.offset > window.total:
                raise _window_error(OUT_OF_RANGE, count, context)
            return count * window.offset // window.total
        if window.offset > count:
            raise _window_error(OUT_OF_RANGE, count, context)
        return window.offset

    def _of_value(self, entries: Sequence[Entry], options: Options, value: bytes, context: bytes) -> int | None:
        try:
            return Sorting(self._directory.schema, options.sort).place(value, entries)
        except ValueError:
            raise _window_error(ResultCode.INAPPROPRIATE_MATCHING, len(entries), context) from None


def _window_error(code: int, count: int, context: bytes) -> LdapError:
    error = LdapError(ResultCode.VLV_ERROR)
    error.controls.append(window_response(0, count, code, context))
    return error
