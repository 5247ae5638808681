"""A file arrives whole over whatever link, or the transfer ends with a reason; nothing the peer sends makes it do otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import chain, cycle, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netboot.errors import Malformed
from netboot.tftp import Aborted, Completed, Failed, File, Limits, Refused, Transfer
from netboot.tftp_packets import Ack, Data, Error, OptionAck, Packet, ReadRequest, WriteRequest, decode, encode
from tests.netboot.tftp_link import FATES, PLAIN, Client, carry, content


def start(size: int, now: float = 0.0, **options: int) -> Transfer:
    request = ReadRequest("file", "octet", {name: str(value) for name, value in options.items()})
    return Transfer(request, File.of(content(size)), now)


def sent(transfer: Transfer) -> list[Packet]:
    return [decode(datagram) for datagram in transfer.datagrams_to_send()]


def block_numbers(transfer: Transfer) -> list[int]:
    return [packet.block for packet in sent(transfer) if isinstance(packet, Data)]


def acknowledge(transfer: Transfer, *blocks: int, now: float = 0.0) -> None:
    for block in blocks:
        transfer.receive(encode(Ack(block)), now)


# -- over a link --------------------------------------------------------------------------------------------------------

option_sets = st.fixed_dictionaries(
    {},
    optional={
        "blksize": st.sampled_from(("8", "13", "512", "1468", "65464", "no")),
        "windowsize": st.sampled_from(("1", "2", "4", "16", "64", "200")),
        "tsize": st.just("0"),
    },
)


@given(st.integers(0, 3000), option_sets, st.lists(st.sampled_from(FATES), max_size=40))
def test_over_a_bad_link_the_file_arrives_whole_or_the_transfer_ends_with_a_reason(
    size: int, options: Mapping[str, str], fates: list[tuple[float, ...]]
) -> None:
    request = ReadRequest("file", "octet", options)
    transfer, client = Transfer(request, File.of(content(size)), 0.0), Client()
    carry(transfer, client, chain(fates, repeat(PLAIN)))
    assert content(size).startswith(client.content)
    if isinstance(transfer.outcome, Completed):
        assert client.finished
        assert content(size) == client.content
    else:
        assert isinstance(transfer.outcome, Failed)
        assert "no answer to" in transfer.outcome.reason
        assert sum(fate != PLAIN for fate in fates) > Limits().retries, "a link this good must do"


@pytest.mark.parametrize("windowsize", [1, 2, 4, 7, 64])
@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1024, 4096, 10_000])
def test_over_a_good_link_nothing_is_sent_twice(size: int, windowsize: int) -> None:
    transfer, client = start(size, blksize=512, windowsize=windowsize), Client()
    carry(transfer, client, repeat(PLAIN))
    assert content(size) == client.content
    assert isinstance(transfer.outcome, Completed)
    assert (size, 0) == (transfer.outcome.size, transfer.outcome.retransmits)
    assert transfer.outcome.seconds == pytest.approx(0.002 * (2 + size // 512 // windowsize), abs=0.003)


@pytest.mark.parametrize("windowsize", [1, 64])
def test_block_numbers_wrap_to_zero_in_a_file_of_more_than_65535_blocks(windowsize: int) -> None:
    size = 8 * 65_600 + 3
    transfer, client = start(size, blksize=8, windowsize=windowsize), Client()
    carry(transfer, client, cycle((PLAIN,) * 996 + ((),)))  # some of what is lost is lost near the wrap
    assert isinstance(transfer.outcome, Completed)
    assert content(size) == client.content


# -- the order of things ------------------------------------------------------------------------------------------------


def test_a_request_without_options_is_answered_with_data() -> None:
    transfer = start(700)
    assert [Data(1, content(512))] == sent(transfer)
    acknowledge(transfer, 1)
    assert [Data(2, content(700)[512:])] == sent(transfer)
    acknowledge(transfer, 2, now=0.5)
    assert Completed(700, 0.5, 0) == transfer.outcome


def test_a_request_whose_options_are_all_unknown_is_answered_with_data() -> None:
    assert [Data(1, content(512))] == sent(start(700, multicast=1))


def test_options_are_answered_first_and_data_waits_for_ack_0() -> None:
    transfer = start(3000, tsize=0, blksize=1468, windowsize=4)
    assert [OptionAck({"tsize": "3000", "blksize": "1468", "windowsize": "4"})] == sent(transfer)
    acknowledge(transfer, 1)
    assert [] == sent(transfer)
    acknowledge(transfer, 0)
    assert [1, 2, 3] == block_numbers(transfer)


@pytest.mark.parametrize(("size", "lengths"), [(0, [0]), (1, [1]), (511, [511]), (512, [512, 0]), (1024, [512, 512, 0])])
def test_a_short_block_ends_the_file_and_an_empty_one_does_where_none_is_short(size: int, lengths: list[int]) -> None:
    transfer = start(size, windowsize=8)
    transfer.datagrams_to_send()
    acknowledge(transfer, 0)
    assert lengths == [len(packet.content) for packet in sent(transfer) if isinstance(packet, Data)]


def test_a_repeated_ack_is_never_answered() -> None:
    transfer = start(5000)
    sent(transfer)
    acknowledge(transfer, 1, 1)
    assert [2] == block_numbers(transfer)
    acknowledge(transfer, 1)
    assert [] == block_numbers(transfer)
    acknowledge(transfer, 2, 1, 2)
    assert [3] == block_numbers(transfer)


def test_a_repeated_ack_does_not_put_off_the_timer() -> None:
    transfer = start(5000)
    sent(transfer)
    acknowledge(transfer, 1, now=0.5)
    acknowledge(transfer, 1, now=0.9)
    assert 1.5 == transfer.timer


def test_an_ack_of_a_block_that_was_not_sent_is_ignored() -> None:
    transfer = start(5000)
    sent(transfer)
    acknowledge(transfer, 2, 0xFFFF)
    assert [] == sent(transfer)
    assert not transfer.done


def test_after_an_ack_inside_the_window_the_next_window_begins_behind_it() -> None:
    transfer = start(512 * 20, windowsize=4)
    sent(transfer)
    acknowledge(transfer, 0)
    assert [1, 2, 3, 4] == block_numbers(transfer)
    acknowledge(transfer, 2)
    assert [3, 4, 5, 6] == block_numbers(transfer)
    acknowledge(transfer, 6)
    assert [7, 8, 9, 10] == block_numbers(transfer)


def test_an_ack_of_a_block_sent_before_the_window_was_taken_back_still_counts() -> None:
    transfer = start(512 * 20, windowsize=4)
    sent(transfer)
    acknowledge(transfer, 0)
    sent(transfer)
    acknowledge(transfer, 1, 4)
    assert [5, 6, 7, 8] == block_numbers(transfer)


def test_waits_double_until_they_end_with_a_reason() -> None:
    transfer = start(5000, now=100.0)
    waits = []
    now = 100.0
    while transfer.timer is not None:
        assert [1] == block_numbers(transfer)
        waits.append(transfer.timer - now)
        now = transfer.timer
        transfer.handle_timer(now)
    assert [1, 2, 4, 8, 8, 8] == waits
    assert Failed("no answer to block 1 of 10, sent 6 times") == transfer.outcome
    assert [] == sent(transfer), "nobody is there to be told"


def test_the_oack_is_repeated_like_a_block() -> None:
    transfer = start(10, tsize=0)
    assert sent(transfer) == [OptionAck({"tsize": "10"})]
    transfer.handle_timer(1.0)
    assert sent(transfer) == [OptionAck({"tsize": "10"})]
    acknowledge(transfer, 0, 0, now=1.1)
    assert [1] == block_numbers(transfer)
    acknowledge(transfer, 1, now=1.2)
    assert Completed(10, 1.2, 1) == transfer.outcome


def test_what_was_sent_again_is_counted_block_by_block() -> None:
    transfer = start(512 * 6, windowsize=4)
    sent(transfer)
    acknowledge(transfer, 0)
    assert [1, 2, 3, 4] == block_numbers(transfer)
    transfer.handle_timer(1.0)
    assert [1, 2, 3, 4] == block_numbers(transfer)
    acknowledge(transfer, 2, now=1.5)
    assert [3, 4, 5, 6] == block_numbers(transfer)
    acknowledge(transfer, 6, now=1.5)
    assert [7] == block_numbers(transfer)
    acknowledge(transfer, 7, now=1.5)
    assert Completed(512 * 6, 1.5, 4 + 2) == transfer.outcome


def test_a_timer_that_comes_early_changes_nothing() -> None:
    transfer = start(5000)
    sent(transfer)
    transfer.handle_timer(0.999)
    assert ([], 1.0) == (sent(transfer), transfer.timer)


def test_progress_brings_the_first_wait_back() -> None:
    transfer = start(5000)
    sent(transfer)
    transfer.handle_timer(1.0)
    assert 3.0 == transfer.timer
    acknowledge(transfer, 1, now=2.0)
    assert 3.0 == transfer.timer


def test_a_client_names_its_own_timeout() -> None:
    transfer = start(5000, timeout=30)
    assert 30.0 == transfer.timer
    transfer.handle_timer(30.0)
    assert 60.0 == transfer.timer, "which is not doubled past the longest wait"


def test_an_error_from_the_peer_ends_it_quietly() -> None:
    """What EDK2 does after it has read the size."""
    transfer = start(5000, tsize=0, blksize=1468, windowsize=4)
    sent(transfer)
    transfer.receive(b"\0\5\0\x08User aborted the transfer\0", 0.1)
    assert Aborted(8, "the peer sent error 8 'User aborted the transfer'") == transfer.outcome
    transfer.handle_timer(1e9)
    assert ([], None) == (sent(transfer), transfer.timer)


def test_other_packets_of_the_peer_are_ignored() -> None:
    transfer = start(5000)
    sent(transfer)
    for packet in (Data(1, b"x"), OptionAck({"blksize": "8"}), ReadRequest("file"), WriteRequest("file")):
        transfer.receive(encode(packet), 0.1)
    assert ([], 1.0, None) == (sent(transfer), transfer.timer, transfer.outcome)


def test_malformed_bytes_leave_a_transfer_as_it_was() -> None:
    transfer = start(700)
    sent(transfer)
    with pytest.raises(Malformed):
        transfer.receive(b"\0\4\0", 0.1)
    acknowledge(transfer, 1)
    assert [2] == block_numbers(transfer)


peer_words = st.one_of(
    st.integers(0, 12).map(lambda block: encode(Ack(block))),
    st.just(encode(Error(0, "stop"))),
    st.binary(max_size=8),
    st.none(),  # the timer comes instead
)


@given(st.integers(0, 5000), st.integers(1, 5), st.lists(peer_words, max_size=30))
def test_whatever_the_peer_says_only_the_file_is_sent_and_an_outcome_stays(
    size: int, windowsize: int, words: list[bytes | None]
) -> None:
    transfer = start(size, windowsize=windowsize)
    outcome = None
    for datagram in words:
        blocks = [packet for packet in sent(transfer) if isinstance(packet, Data)]
        assert len(blocks) <= windowsize
        assert all(content(size)[(block.block - 1) * 512 :][:512] == block.content for block in blocks)
        with suppress(Malformed):
            if datagram is None:
                transfer.handle_timer(transfer.timer or 1e9)
            else:
                transfer.receive(datagram, 0.0)
        assert outcome in (None, transfer.outcome)
        outcome = transfer.outcome
        assert transfer.done == (transfer.timer is None)


# -- reading the file ---------------------------------------------------------------------------------------------------


def test_a_file_is_read_a_window_at_a_time() -> None:
    reads: list[tuple[int, int]] = []

    def read(offset: int, length: int) -> bytes:
        reads.append((offset, length))
        return bytes(length)

    transfer = Transfer(ReadRequest("big", "octet", {"windowsize": "4"}), File(3000, read), 0.0)
    for block in (0, 4):
        transfer.datagrams_to_send()
        acknowledge(transfer, block)
    transfer.datagrams_to_send()
    assert [(0, 2048), (2048, 952)] == reads


def broken(offset: int, length: int) -> bytes:
    raise OSError("disk on fire")


@pytest.mark.parametrize("mode", ["octet", "netascii"])
@pytest.mark.parametrize(
    ("read", "why"), [(broken, "disk on fire"), (lambda offset, length: b"x", "1 of 400 octets at offset 0")]
)
def test_a_file_that_cannot_be_read_ends_the_transfer_and_the_peer_is_told(
    read: Callable[[int, int], bytes], why: str, mode: str
) -> None:
    transfer = Transfer(ReadRequest("file", mode), File(400, read), 0.0)
    reason = f"the file cannot be read: {why}"
    assert [Error(0, reason)] == sent(transfer)
    assert (Failed(reason), None) == (transfer.outcome, transfer.timer)


def test_netascii_translates_line_ends_and_tells_the_translated_size() -> None:
    transfer = Transfer(ReadRequest("menu", "netascii", {"tsize": "0"}), File.of(b"a\nb\r\nc\r"), 0.0)
    assert [OptionAck({"tsize": "11"})] == sent(transfer)
    acknowledge(transfer, 0)
    assert [Data(1, b"a\r\nb\r\0\r\nc\r\0")] == sent(transfer)


def test_netascii_of_a_file_too_large_to_be_text_is_refused() -> None:
    transfer = Transfer(ReadRequest("kernel", "netascii", {"tsize": "0"}), File(1024 * 1024 + 1, broken), 0.0)
    assert isinstance(transfer.outcome, Refused)
    assert [Error(0, "too large for netascii: ask for octet (binary)")] == sent(transfer)


def test_a_cancelled_transfer_tells_the_peer_why() -> None:
    transfer = start(5000)
    transfer.cancel("the server is stopping")
    transfer.cancel("again")
    assert [Error(0, "the server is stopping")] == sent(transfer)
    assert Failed("the server is stopping") == transfer.outcome


# -- the same peer again ------------------------------------------------------------------------------------------------


def test_the_same_request_again_before_any_answer_is_a_repetition() -> None:
    transfer = start(5000, tsize=0)
    transfer.handle_timer(1.0)
    assert transfer.repeats(transfer.request)


def test_the_same_request_again_while_blocks_flow_is_a_late_repetition() -> None:
    transfer = start(5000, tsize=0)
    acknowledge(transfer, 0)
    assert transfer.repeats(transfer.request)


def test_the_same_request_again_after_the_peer_fell_silent_is_a_machine_that_was_reset() -> None:
    transfer = start(5000, tsize=0)
    acknowledge(transfer, 0)
    transfer.datagrams_to_send()
    transfer.handle_timer(1.0)
    assert not transfer.repeats(transfer.request)


def test_another_request_is_no_repetition() -> None:
    transfer = start(5000, tsize=0)
    assert not transfer.repeats(ReadRequest("file"))
