/*
 * A star of processes over TCP and nothing besides, in C: what a star of this machine can be like at best. Linux only.
 *   star-reference DEVICES OUT_BYTES BACK_BYTES COMPUTE_NS ROUNDS CORES blocking|polling
 * In each round the centre sends OUT_BYTES to every device; each, like the centre, is then busy for COMPUTE_NS and answers
 * BACK_BYTES. Prints of each round the nanoseconds it took beyond COMPUTE_NS. The centre is on core 0, device k on core
 * (1 + k) mod CORES, from k = 0 on; with CORES 0 they are wherever the system puts them.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_DEVICES = 64, MOST_BYTES = 16 << 20, WARM_UP = 100 };

static int devices, cores, polling, crowded;
static size_t out_bytes, back_bytes;
static int64_t compute;
static char bytes[MOST_BYTES];

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void fail(const char *what) {
  fprintf(stderr, "star-reference: %s: %s\n", what, strerror(errno));
  exit(1);
}

/* Whoever else has to run on this core does: it stands for a machine of its own. */
static void let_others(void) {
  if (crowded) sched_yield();
}

static void pin(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) fail("cannot be pinned");
}

static void set_up(int fd) {
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (polling) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static void be_busy(void) {
  const int64_t end = now() + compute;
  while (now() < end) let_others();
}

/* @returns bytes moved by one call, 0 where it has to be tried again, -1 when the other side is gone */
static ssize_t moved(ssize_t result) {
  if (result > 0) return result;
  if (result < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  return -1;
}

static int send_all(int fd, size_t count) {
  for (size_t done = 0; done < count;) {
    const ssize_t some = moved(send(fd, bytes, count - done, MSG_NOSIGNAL));
    if (some < 0) return 0;
    if (some == 0) let_others();
    done += (size_t)some;
  }
  return 1;
}

static int receive_all(int fd, size_t count) {
  for (size_t done = 0; done < count;) {
    const ssize_t some = moved(recv(fd, bytes, count - done, 0));
    if (some < 0) return 0;
    if (some == 0) let_others();
    done += (size_t)some;
  }
  return 1;
}

static void device(int number, const struct sockaddr_in *centre) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The centre has a core of its own where there are two.
  if (cores > 0) pin(cores == 1 ? 0 : 1 + number % (cores - 1));
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0 || connect(fd, (const struct sockaddr *)centre, sizeof *centre) != 0) fail("cannot connect");
  set_up(fd);
  while (receive_all(fd, out_bytes)) {
    be_busy();
    if (!send_all(fd, back_bytes)) break;
  }
  exit(0);
}

/* Takes the answers in whatever order they come. */
static int receive_from_all(const int *fds) {
  size_t done[MOST_DEVICES] = {0};
  for (int left = devices; left > 0;) {
    int idle = 1;
    for (int i = 0; i < devices; i++) {
      if (done[i] == back_bytes) continue;
      const ssize_t some = moved(recv(fds[i], bytes, back_bytes - done[i], 0));
      if (some < 0) return 0;
      if (some > 0) idle = 0;
      done[i] += (size_t)some;
      if (done[i] == back_bytes) left--;
    }
    if (idle) let_others();
  }
  return 1;
}

static int64_t one_round(const int *fds) {
  const int64_t begun = now();
  for (int i = 0; i < devices; i++)
    if (!send_all(fds[i], out_bytes)) fail("cannot send");
  be_busy();
  if (polling) {
    if (!receive_from_all(fds)) fail("cannot receive");
  } else {
    for (int i = 0; i < devices; i++)
      if (!receive_all(fds[i], back_bytes)) fail("cannot receive");
  }
  return now() - begun - compute;
}

int main(int argc, char **argv) {
  if (argc != 8) return 2;
  devices = atoi(argv[1]);
  out_bytes = (size_t)strtoull(argv[2], NULL, 10);
  back_bytes = (size_t)strtoull(argv[3], NULL, 10);
  compute = strtoll(argv[4], NULL, 10);
  const int rounds = atoi(argv[5]);
  cores = atoi(argv[6]);
  polling = strcmp(argv[7], "polling") == 0;
  if (devices < 1 || devices > MOST_DEVICES || out_bytes < 1 || out_bytes > MOST_BYTES || back_bytes < 1 ||
      back_bytes > MOST_BYTES || compute < 0 || rounds < 1 || cores < 0)
    return 2;
  crowded = 1 + devices > (int)sysconf(_SC_NPROCESSORS_ONLN) || (cores > 0 && 1 + devices > cores);
  struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof own;
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  if (listener < 0 || bind(listener, (struct sockaddr *)&own, sizeof own) != 0 || listen(listener, MOST_DEVICES) != 0 ||
      getsockname(listener, (struct sockaddr *)&own, &length) != 0)
    fail("cannot listen");
  for (int i = 0; i < devices; i++) {
    const pid_t child = fork();
    if (child < 0) fail("cannot fork");
    if (child == 0) device(i, &own);
  }
  if (cores > 0) pin(0);
  int fds[MOST_DEVICES];
  for (int i = 0; i < devices; i++) {
    if ((fds[i] = accept(listener, NULL, NULL)) < 0) fail("no device came");
    set_up(fds[i]);
  }
  for (int i = 0; i < WARM_UP; i++) one_round(fds);
  for (int i = 0; i < rounds; i++) printf("%lld\n", (long long)one_round(fds));
  return 0;
}
