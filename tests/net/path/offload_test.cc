// SPDX-License-Identifier: Apache-2.0
#include "net/path/offload.h"

#include <gtest/gtest.h>
#include <linux/if_tun.h>

#include <cstdint>
#include <cstring>
#include <optional>

#include "net/wire/features.h"

namespace net {
namespace {

// TCP over IPv4: Ethernet 14, IP 20, TCP 20.
constexpr VirtioNetHeader kTcp4 = {.flags = kHeaderNeedsCsum,
                                   .gso_type = kHeaderGsoTcpV4,
                                   .hdr_len = 54,
                                   .gso_size = 1448,
                                   .csum_start = 34,
                                   .csum_offset = 16};
constexpr uint64_t kBytes = 9000;

VirtioNetHeader With(VirtioNetHeader header, void (*change)(VirtioNetHeader&)) {
  change(header);
  return header;
}

bool Same(const std::optional<VirtioNetHeader>& a, const VirtioNetHeader& b) {
  return a && std::memcmp(&*a, &b, sizeof(b)) == 0;
}

class OffloadTest : public testing::Test {
 protected:
  static bool Sends(const VirtioNetHeader& header, uint64_t bytes = kBytes,
                    uint64_t features = kHostOffloads) {
    return TransmitHeader(header, bytes, features).has_value();
  }
  static bool Gets(const VirtioNetHeader& header, uint64_t offloads) {
    return ReceiveHeader(header, kBytes, offloads).has_value();
  }
};

TEST_F(OffloadTest, APlainPacketNeedsNothing) {
  const VirtioNetHeader junk{.hdr_len = 1,
                             .gso_size = 2,
                             .csum_start = 3,
                             .csum_offset = 4,
                             .num_buffers = 5};
  EXPECT_TRUE(Same(TransmitHeader(junk, 60, 0), {}));
  EXPECT_TRUE(Same(ReceiveHeader(junk, 60, 0), {}));
}

TEST_F(OffloadTest, WhatIsRightIsHandedOn) {
  EXPECT_TRUE(Same(TransmitHeader(kTcp4, kBytes, kHostOffloads), kTcp4));
  EXPECT_TRUE(Same(ReceiveHeader(kTcp4, kBytes, kGuestOffloads), kTcp4));
}

TEST_F(OffloadTest, EachKindNeedsItsFeature) {
  struct Kind {
    uint8_t type;
    uint16_t offset;
    uint64_t host;
    uint64_t guest;
  };
  const Kind kinds[] = {
      {kHeaderGsoTcpV4, 16, Bit(kFeatureHostTso4), Bit(kFeatureGuestTso4)},
      {kHeaderGsoTcpV6, 16, Bit(kFeatureHostTso6), Bit(kFeatureGuestTso6)},
      {kHeaderGsoUdpL4, 6, Bit(kFeatureHostUso),
       Bit(kFeatureGuestUso4) | Bit(kFeatureGuestUso6)},
      {kHeaderGsoTcpV4 | kHeaderGsoEcn, 16,
       Bit(kFeatureHostTso4) | Bit(kFeatureHostEcn),
       Bit(kFeatureGuestTso4) | Bit(kFeatureGuestEcn)},
      {kHeaderGsoTcpV6 | kHeaderGsoEcn, 16,
       Bit(kFeatureHostTso6) | Bit(kFeatureHostEcn),
       Bit(kFeatureGuestTso6) | Bit(kFeatureGuestEcn)},
  };
  for (const Kind& kind : kinds) {
    SCOPED_TRACE(kind.type);
    VirtioNetHeader header = kTcp4;
    header.gso_type = kind.type;
    header.csum_offset = kind.offset;
    EXPECT_TRUE(Sends(header, kBytes, Bit(kFeatureCsum) | kind.host));
    EXPECT_TRUE(Gets(header, Bit(kFeatureGuestCsum) | kind.guest));
    EXPECT_FALSE(Sends(header, kBytes, kind.host)) << "no checksum";
    EXPECT_FALSE(Gets(header, kind.guest)) << "no checksum";
    for (unsigned bit = 0; bit < 64; ++bit) {
      if (Has(kind.host, bit)) {
        EXPECT_FALSE(Sends(header, kBytes, kHostOffloads & ~Bit(bit)));
      }
      if (Has(kind.guest, bit)) {
        EXPECT_FALSE(Gets(header, kGuestOffloads & ~Bit(bit)));
      }
    }
  }
}

TEST_F(OffloadTest, Row70_AChecksumMustLieInTheFrame) {
  const auto sends = [](uint32_t start, uint32_t offset, uint64_t bytes) {
    return Sends({.flags = kHeaderNeedsCsum,
                  .csum_start = static_cast<uint16_t>(start),
                  .csum_offset = static_cast<uint16_t>(offset)},
                 bytes);
  };
  EXPECT_TRUE(sends(14, 0, 16));
  EXPECT_FALSE(sends(14, 0, 15));
  EXPECT_FALSE(sends(13, 16, 100)) << "in the Ethernet header";
  EXPECT_FALSE(sends(0, 0, 100));
  EXPECT_TRUE(sends(34, 64, 100));
  EXPECT_FALSE(sends(34, 65, 100));
  EXPECT_FALSE(sends(100, 0, 100));
  EXPECT_FALSE(sends(65535, 65535, 65549));
  EXPECT_TRUE(sends(65500, 33, 65549));
  EXPECT_FALSE(sends(65500, 34, 65549)) << "the kernel adds in 16 bits";
}

TEST_F(OffloadTest, Row71_AKindThatIsNoneIsRefused) {
  for (int type = 1; type < 256; ++type) {
    VirtioNetHeader header = kTcp4;
    header.gso_type = static_cast<uint8_t>(type);
    const bool known = type == 1 || type == 4 || type == 0x81 || type == 0x84;
    EXPECT_EQ(Sends(header), known) << type;
    header.csum_offset = 6;
    EXPECT_EQ(Sends(header), type == 5) << type;
  }
}

TEST_F(OffloadTest, Row72_SegmentsNeedASizeAndAChecksumInItsPlace) {
  EXPECT_FALSE(Sends(With(kTcp4, [](auto& h) { h.gso_size = 0; })));
  EXPECT_FALSE(Sends(With(kTcp4, [](auto& h) { h.flags = 0; })));
  EXPECT_FALSE(Sends(With(kTcp4, [](auto& h) { h.csum_offset = 6; })));
  EXPECT_FALSE(Sends(With(kTcp4, [](auto& h) {
    h.gso_type = kHeaderGsoUdpL4;
    h.csum_offset = 16;
  })));
  EXPECT_FALSE(Sends(kTcp4, 53)) << "no room for a TCP header";
  EXPECT_TRUE(Sends(kTcp4, 54));
}

TEST_F(OffloadTest, Row72_TheHeadersLengthIsPutRight) {
  const auto length = [](uint16_t theirs, uint64_t bytes) {
    VirtioNetHeader header = kTcp4;
    header.hdr_len = theirs;
    return TransmitHeader(header, bytes, kHostOffloads)->hdr_len;
  };
  EXPECT_EQ(length(0, kBytes), 54);
  EXPECT_EQ(length(53, kBytes), 54);
  EXPECT_EQ(length(66, kBytes), 66);
  EXPECT_EQ(length(65535, kBytes), kBytes);
  EXPECT_EQ(length(65535, 65549), 65535);
}

TEST_F(OffloadTest, Row73_NoMoreSegmentsThanCanBeCounted) {
  const auto tiny = With(kTcp4, [](auto& h) { h.gso_size = 1; });
  EXPECT_TRUE(Sends(tiny, 54 + 65534));
  EXPECT_FALSE(Sends(tiny, 54 + 65535));
}

TEST_F(OffloadTest, AVerifiedChecksumIsToldToWhoeverUnderstandsIt) {
  const VirtioNetHeader verified{.flags = kHeaderDataValid};
  EXPECT_EQ(ReceiveHeader(verified, 60, Bit(kFeatureGuestCsum))->flags,
            kHeaderDataValid);
  EXPECT_EQ(ReceiveHeader(verified, 60, 0)->flags, 0);
  EXPECT_EQ(TransmitHeader(verified, 60, kHostOffloads)->flags, 0);
}

TEST_F(OffloadTest, TheTapIsAskedForWhatTheKernelTakes) {
  const uint64_t csum = Bit(kFeatureGuestCsum);
  EXPECT_EQ(TunOffloads(0), 0U);
  EXPECT_EQ(TunOffloads(kGuestOffloads & ~csum), 0U);
  EXPECT_EQ(TunOffloads(csum), unsigned{TUN_F_CSUM});
  EXPECT_EQ(TunOffloads(csum | Bit(kFeatureGuestTso4)),
            unsigned{TUN_F_CSUM | TUN_F_TSO4});
  EXPECT_EQ(TunOffloads(csum | Bit(kFeatureGuestTso6)),
            unsigned{TUN_F_CSUM | TUN_F_TSO6});
  EXPECT_EQ(TunOffloads(csum | Bit(kFeatureGuestEcn)), unsigned{TUN_F_CSUM});
  EXPECT_EQ(TunOffloads(csum | Bit(kFeatureGuestUso4)), unsigned{TUN_F_CSUM});
  EXPECT_EQ(TunOffloads(kGuestOffloads),
            unsigned{TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN |
                     0x20 | 0x40});
}

}  // namespace
}  // namespace net
