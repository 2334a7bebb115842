/* The floor for one instance's wiring: the same system calls and messages as the bridge realizer, from C.
 *
 *   realizer_floor DIRECTORY COUNT   makes COUNT instances in DIRECTORY on a bridge in a namespace of its own,
 *                                    prints the CPU and wall seconds of that, and unmounts them again.
 *
 * What the realizer writes to its ledger ahead of each step is a line of the same length here.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char batch[8192];
static size_t used;
static struct nlmsghdr *current;

static void fail(const char *what) { perror(what); exit(1); }

static void *reserve(size_t size)
{
	void *place = batch + used;
	memset(place, 0, NLMSG_ALIGN(size));
	used += NLMSG_ALIGN(size);
	current->nlmsg_len += NLMSG_ALIGN(size);
	return place;
}

static void *begin(int type, int flags, size_t body)
{
	current = (struct nlmsghdr *)(batch + used);
	current->nlmsg_len = 0;
	struct nlmsghdr *header = reserve(sizeof *header);
	header->nlmsg_type = type;
	header->nlmsg_flags = NLM_F_REQUEST | flags;
	return reserve(body);
}

static struct rtattr *attribute(int type, const void *data, size_t size)
{
	struct rtattr *attr = reserve(RTA_LENGTH(0));
	attr->rta_type = type;
	attr->rta_len = RTA_LENGTH(size);
	if (size)
		memcpy(reserve(size), data, size);
	return attr;
}

static void number(int type, unsigned value) { attribute(type, &value, sizeof value); }

static void end(struct rtattr *nest) { nest->rta_len = batch + used - (char *)nest; }

static void transmit(int fd)
{
	char answer[4096];
	if (send(fd, batch, used, 0) < 0)
		fail("send");
	used = 0;
	ssize_t got = recv(fd, answer, sizeof answer, MSG_DONTWAIT);
	if (got > 0) {
		struct nlmsgerr *error = NLMSG_DATA((struct nlmsghdr *)answer);
		fprintf(stderr, "netlink: %s\n", strerror(-error->error));
		exit(1);
	}
}

static int open_socket(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		fail("socket");
	int one = 1;
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof one);
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof one);
	return fd;
}

static void no_autoconf(struct ifinfomsg *link, int index)
{
	unsigned char none = IN6_ADDR_GEN_MODE_NONE;
	link->ifi_index = index;
	struct rtattr *spec = attribute(IFLA_AF_SPEC, NULL, 0);
	struct rtattr *inet6 = attribute(AF_INET6, NULL, 0);
	attribute(IFLA_INET6_ADDR_GEN_MODE, &none, 1);
	end(inet6);
	end(spec);
}

static void veth(int n, int bridge, int ns)
{
	char devname[16];
	unsigned char mac[6] = {0xfe, 0x16, 0x3e, 0, n >> 8, n};
	struct ifinfomsg *link = begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof *link);
	link->ifi_flags = link->ifi_change = IFF_UP;
	snprintf(devname, sizeof devname, "tap%d", n);
	attribute(IFLA_IFNAME, devname, strlen(devname) + 1);
	attribute(IFLA_ADDRESS, mac, 6);
	number(IFLA_MTU, 1450);
	number(IFLA_MASTER, bridge);
	number(IFLA_NUM_TX_QUEUES, 1);
	number(IFLA_NUM_RX_QUEUES, 1);
	struct rtattr *info = attribute(IFLA_LINKINFO, NULL, 0);
	attribute(IFLA_INFO_KIND, "veth", 4);
	struct rtattr *data = attribute(IFLA_INFO_DATA, NULL, 0);
	struct rtattr *peer = attribute(VETH_INFO_PEER, NULL, 0);
	struct ifinfomsg *guest = reserve(sizeof *guest);
	guest->ifi_index = 2;
	mac[0] = 0xfa;
	attribute(IFLA_IFNAME, "eth0", 5);
	attribute(IFLA_ADDRESS, mac, 6);
	number(IFLA_MTU, 1450);
	number(IFLA_NUM_TX_QUEUES, 1);
	number(IFLA_NUM_RX_QUEUES, 1);
	number(IFLA_NET_NS_FD, ns);
	end(peer);
	end(data);
	end(info);
}

static void up(int index)
{
	struct ifinfomsg *link = begin(RTM_SETLINK, 0, sizeof *link);
	link->ifi_index = index;
	link->ifi_flags = link->ifi_change = IFF_UP;
}

static void inside(int family, int size, const unsigned char *own, const unsigned char *gateway, int prefix)
{
	static const unsigned char anywhere[16];
	unsigned char mac[6] = {2, 0x6e, 0, 0, 0, 1};
	struct ifaddrmsg *address = begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, sizeof *address);
	address->ifa_family = family;
	address->ifa_prefixlen = prefix;
	address->ifa_index = 2;
	attribute(IFA_LOCAL, own, size);
	attribute(IFA_ADDRESS, own, size);
	if (family == AF_INET6)
		number(IFA_FLAGS, IFA_F_PERMANENT | IFA_F_NODAD);
	struct rtmsg *route = begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof *route);
	route->rtm_family = family;
	route->rtm_table = RT_TABLE_MAIN;
	route->rtm_protocol = RTPROT_STATIC;
	route->rtm_type = RTN_UNICAST;
	attribute(RTA_DST, anywhere, size);
	attribute(RTA_GATEWAY, gateway, size);
	number(RTA_OIF, 2);
	number(RTA_PRIORITY, family == AF_INET ? 0 : 1025);
	struct ndmsg *neighbour = begin(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, sizeof *neighbour);
	neighbour->ndm_family = family;
	neighbour->ndm_ifindex = 2;
	neighbour->ndm_state = NUD_PERMANENT;
	attribute(NDA_DST, gateway, size);
	attribute(NDA_LLADDR, mac, 6);
}

static double cpu(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double wall(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	char path[4096];
	if (argc != 3)
		return 2;
	int count = atoi(argv[2]);
	if (unshare(CLONE_NEWNET) < 0)
		fail("unshare");
	int settings = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY);
	if (settings < 0 || write(settings, "1", 1) != 1)
		fail("disable_ipv6");
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int host = open_socket();
	struct ifinfomsg *link = begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof *link);
	unsigned char off = 0;
	link->ifi_index = 1000;
	link->ifi_flags = link->ifi_change = IFF_UP;
	attribute(IFLA_IFNAME, "floor", 6);
	struct rtattr *info = attribute(IFLA_LINKINFO, NULL, 0);
	attribute(IFLA_INFO_KIND, "bridge", 6);
	struct rtattr *data = attribute(IFLA_INFO_DATA, NULL, 0);
	number(IFLA_BR_FORWARD_DELAY, 0);
	attribute(IFLA_BR_MCAST_SNOOPING, &off, 1);
	end(data);
	end(info);
	transmit(host);

	static char line[1024];
	memset(line, 'x', sizeof line);
	snprintf(path, sizeof path, "%s/ledger", argv[1]);
	int ledger = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	struct stat status;
	double cpu_before = cpu(), wall_before = wall();
	for (int n = 1; n <= count; n++) {
		snprintf(path, sizeof path, "%s/floor-%d", argv[1], n);
		lstat(path, &status);
		if (write(ledger, line, 250) != 250)
			fail("ledger");
		close(open(path, O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC, 0444));
		if (unshare(CLONE_NEWNET) < 0)
			fail("unshare");
		if (mount("/proc/self/ns/net", path, NULL, MS_BIND, NULL) < 0)
			fail("mount");
		int ns = open(path, O_RDONLY | O_CLOEXEC);
		int guest = open_socket();
		fstat(ns, &status);
		if (write(ledger, line, 430) != 430)
			fail("ledger");
		veth(n, 1000, ns);
		transmit(host);
		unsigned char own4[4] = {10, 0, n >> 8, n + 1}, gateway4[4] = {10, 0, 255, 254};
		unsigned char own6[16] = {0xfd}, gateway6[16] = {0xfd};
		own6[14] = n >> 8, own6[15] = n + 1, gateway6[15] = 1;
		up(1);
		no_autoconf(begin(RTM_SETLINK, 0, sizeof(struct ifinfomsg)), 2);
		up(2);
		inside(AF_INET, 4, own4, gateway4, 16);
		inside(AF_INET6, 16, own6, gateway6, 64);
		transmit(guest);
		close(guest);
		close(ns);
		if (setns(home, CLONE_NEWNET) < 0)
			fail("setns");
	}
	printf("%.6f %.6f\n", cpu() - cpu_before, wall() - wall_before);
	snprintf(path, sizeof path, "%s/ledger", argv[1]);
	unlink(path);
	for (int n = 1; n <= count; n++) {
		snprintf(path, sizeof path, "%s/floor-%d", argv[1], n);
		umount2(path, MNT_DETACH);
		unlink(path);
	}
	return 0;
}
