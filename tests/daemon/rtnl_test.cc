// SPDX-License-Identifier: Apache-2.0
#include "daemon/rtnl.h"

#include <gtest/gtest.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include <memory>
#include <optional>

namespace program {
namespace {

using Kind = LinkEvent::Kind;

struct MessageDeleter {
  void operator()(nl_msg* message) const { nlmsg_free(message); }
};
using Message = std::unique_ptr<nl_msg, MessageDeleter>;

// A message about interface 7, called tap0.
Message About(int type, uint8_t family, unsigned flags) {
  Message message(nlmsg_alloc_simple(type, 0));
  ifinfomsg info = {};
  info.ifi_family = family;
  info.ifi_index = 7;
  info.ifi_flags = flags;
  nlmsg_append(message.get(), &info, sizeof(info), NLMSG_ALIGNTO);
  nla_put_string(message.get(), IFLA_IFNAME, "tap0");
  return message;
}

void AddTunInfo(nl_msg* message, uint8_t type) {
  nlattr* info = nla_nest_start(message, IFLA_LINKINFO);
  nla_put_string(message, IFLA_INFO_KIND, "tun");
  nlattr* data = nla_nest_start(message, IFLA_INFO_DATA);
  nla_put_u8(message, IFLA_TUN_TYPE, type);
  nla_nest_end(message, data);
  nla_nest_end(message, info);
}

std::optional<LinkEvent> Parse(const Message& message) {
  return ParseLinkEvent(*nlmsg_hdr(message.get()));
}

TEST(LinkEventTest, AnInterfaceIsUpWithACarrierOnly) {
  for (const unsigned flags : {0U, unsigned{IFF_UP}, unsigned{IFF_RUNNING},
                               unsigned{IFF_UP | IFF_RUNNING}}) {
    const auto event = Parse(About(RTM_NEWLINK, AF_UNSPEC, flags));
    ASSERT_TRUE(event);
    EXPECT_EQ(event->kind, Kind::kChanged);
    EXPECT_EQ(event->link.index, 7);
    EXPECT_EQ(event->link.name, "tap0");
    EXPECT_EQ(event->link.up, flags == (IFF_UP | IFF_RUNNING));
  }
}

TEST(LinkEventTest, ADeletedInterfaceIsGone) {
  const auto event = Parse(About(RTM_DELLINK, AF_UNSPEC, IFF_UP));
  ASSERT_TRUE(event);
  EXPECT_EQ(event->kind, Kind::kGone);
  EXPECT_EQ(event->link.index, 7);
}

TEST(LinkEventTest, WhatABridgeSaysOfItsPortIsNotTheInterfacesEnd) {
  EXPECT_FALSE(Parse(About(RTM_DELLINK, AF_BRIDGE, IFF_UP)));
  EXPECT_FALSE(Parse(About(RTM_NEWLINK, AF_BRIDGE, 0)));
  EXPECT_FALSE(Parse(About(RTM_NEWLINK, AF_INET6, 0)));
}

TEST(LinkEventTest, AnInterfaceHasAlternativeNames) {
  const Message message = About(RTM_NEWLINK, AF_UNSPEC, 0);
  nlattr* list = nla_nest_start(message.get(), IFLA_PROP_LIST);
  nla_put_string(message.get(), IFLA_ALT_IFNAME, "lan");
  nla_put_string(message.get(), IFLA_ALT_IFNAME, "a-name-of-many-letters");
  nla_nest_end(message.get(), list);
  const auto event = Parse(message);
  ASSERT_TRUE(event);
  EXPECT_TRUE(event->link.Has("tap0"));
  EXPECT_TRUE(event->link.Has("lan"));
  EXPECT_TRUE(event->link.Has("a-name-of-many-letters"));
  EXPECT_FALSE(event->link.Has("la"));
}

TEST(LinkEventTest, OnlyATapIsATap) {
  EXPECT_FALSE(Parse(About(RTM_NEWLINK, AF_UNSPEC, 0))->link.is_tap);
  const Message tap = About(RTM_NEWLINK, AF_UNSPEC, 0);
  AddTunInfo(tap.get(), IFF_TAP);
  EXPECT_TRUE(Parse(tap)->link.is_tap);
  const Message tun = About(RTM_NEWLINK, AF_UNSPEC, 0);
  AddTunInfo(tun.get(), IFF_TUN);
  EXPECT_FALSE(Parse(tun)->link.is_tap);
}

TEST(LinkEventTest, ANamespaceThatIsGoneIsNamed) {
  const Message message(nlmsg_alloc_simple(RTM_DELNSID, 0));
  rtgenmsg family = {};
  nlmsg_append(message.get(), &family, sizeof(family), NLMSG_ALIGNTO);
  nla_put_s32(message.get(), NETNSA_NSID, 3);
  const auto event = Parse(message);
  ASSERT_TRUE(event);
  EXPECT_EQ(event->kind, Kind::kNamespaceGone);
  EXPECT_EQ(event->of, 3);
}

TEST(LinkEventTest, OthersAndShortOnesSayNothing) {
  const Message address(nlmsg_alloc_simple(RTM_NEWADDR, 0));
  EXPECT_FALSE(Parse(address));
  const Message empty(nlmsg_alloc_simple(RTM_DELLINK, 0));
  EXPECT_FALSE(Parse(empty));
}

}  // namespace
}  // namespace program
