#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Writes the captures beside it, which the tests read. They are committed: run
# this only to change them.
import gzip
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
SECOND = 10**9
START = 1_700_000_000 * SECOND
# What the captures of each format have: nanoseconds since START.
TIMES = (999_999_000, 1_000_001_000, 1_000_004_000)
HOST = bytes.fromhex("525400000001")
PEER = bytes.fromhex("525400000002")


def frame(source=HOST, destination=PEER, protocol=17, ports=(1000, 53)):
    """An Ethernet frame with IPv4 and the ports of UDP or TCP."""
    transport = struct.pack(">HH", *ports) + bytes(16)
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(transport), 0, 0, 64,
                     protocol, 0, bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2]))
    return destination + source + b"\x08\x00" + ip + transport


def pcap(packets, order="<", nanoseconds=False, linktype=1):
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    data = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, linktype)
    for at, content in packets:
        fraction = at % SECOND if nanoseconds else at % SECOND // 1000
        data += struct.pack(order + "IIII", at // SECOND, fraction,
                            len(content), max(len(content), 60)) + content
    return data


def block(order, kind, body):
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def pcapng(packets, order="<", resolutions=(6,)):
    """Packets take turns between the interfaces, one of each resolution."""
    data = block(order, 0x0A0D0D0A,
                 struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    for digits in resolutions:
        tsresol = struct.pack(order + "HHB3xHH", 9, 1, digits, 0, 0)
        data += block(order, 1, struct.pack(order + "HHI", 1, 0, 0) + tsresol)
    for number, (at, content) in enumerate(packets):
        interface = number % len(resolutions)
        stamp = at // 10 ** (9 - resolutions[interface])
        data += block(order, 6, struct.pack(
            order + "IIIII", interface, stamp >> 32, stamp & 0xFFFFFFFF,
            len(content), max(len(content), 60)) + content)
    return data


def write(name, data):
    with open(os.path.join(HERE, name), "wb") as file:
        file.write(data)


def main():
    three = [(START + at, frame()) for at in TIMES]
    write("usecs.pcap", pcap(three))
    write("usecs_big_endian.pcap", pcap(three, ">"))
    write("nsecs.pcap", pcap(three, nanoseconds=True))
    write("nsecs_big_endian.pcap", pcap(three, ">", nanoseconds=True))
    write("usecs.pcapng", pcapng(three))
    write("nsecs_big_endian.pcapng", pcapng(three, ">", (9,)))
    write("two_interfaces.pcapng", pcapng(three, resolutions=(6, 9)))
    write("usecs.pcap.gz", gzip.compress(pcap(three), mtime=0))
    write("cut_short.pcap", pcap(three)[:-1])
    huge = struct.pack("<IIII", 0, 0, 0xFFFFFFFF, 60)
    write("damaged.pcap", pcap(three[:1]) + huge)
    write("empty.pcap", pcap([]))
    write("no_ethernet.pcap", pcap(three, linktype=101))

    # A query and a reply by UDP, and a segment by TCP each way.
    write("two_ways.pcap", pcap([
        (START, frame()),
        (START + 1000, frame(PEER, HOST, ports=(53, 1000))),
        (START + 2000, frame(protocol=6, ports=(1000, 80))),
        (START + 3000, frame(PEER, HOST, protocol=6, ports=(80, 1000))),
    ]))

    # 200 packets, 10 us apart, of which nothing but the time is kept.
    steady = [START + 10_000 * i for i in range(200)]
    step = [at - 3600 * SECOND if i >= 100 else at
            for i, at in enumerate(steady)]
    late = [at + 3600 * SECOND if i == 100 else at
            for i, at in enumerate(steady)]
    early = [at - 3600 * SECOND if i == 100 else at
             for i, at in enumerate(steady)]
    swapped = [steady[i ^ 1] for i in range(200)]
    write("clock_steps_back.pcap", pcap([(at, b"") for at in step]))
    write("one_late_time.pcap", pcap([(at, b"") for at in late]))
    write("one_early_time.pcap", pcap([(at, b"") for at in early]))
    write("out_of_order.pcap", pcap([(at, b"") for at in swapped]))


main()
