/*
 * A network that is as slow as wanted, in front of servers of this machine. Linux only.
 *   relay BITS_PER_SECOND ADDRESS:PORT/DELAY_NS/BITS_PER_SECOND...
 * Listens on a port of 127.0.0.1 for each server, prints these in one line, and passes on what comes, both ways: each piece
 * the server's DELAY_NS after it came, and no sooner than two lines, the server's and one that all servers share, would have
 * brought it, one of each in each direction, as fast as BITS_PER_SECOND says; 0 for no limit. Ends when its standard input
 * does; what it then prints is how late pieces went on, in nanoseconds: how many, the median, of 99 in 100 the worst.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_SERVERS = 256, MOST_PAIRS = 1024, PIECE = 64 << 10, MOST_LATE = 1 << 16 };
/* What one connection may have under way in one direction, so that a line is no bottomless store. */
static const size_t MOST_UNDER_WAY = (size_t)4 << 20;

/* Bytes that came together; none for the end of the connection, which comes after them as they do. */
typedef struct piece {
  struct piece *next;
  int64_t due;
  int to; /* end */
  uint32_t pair_use;
  size_t length, sent;
  char bytes[];
} piece;

typedef struct {
  piece *first, *last;
} queue;

/* One side of a connection. Its partner is the end whose number differs in the last bit. */
typedef struct {
  int fd;
  int server;
  int ended;        /* nothing more comes from it */
  size_t under_way; /* of what was read here */
  queue out;        /* what is due and did not fit into the socket */
} end;

typedef struct {
  struct sockaddr_in address;
  int64_t delay, bits_per_second;
  int64_t free_at[2]; /* when its line is, to it and from it */
  queue waiting[2]; /* in the order in which they came, which is that in which they are due */
} server;

static end ends[2 * MOST_PAIRS];
static uint32_t uses[MOST_PAIRS]; /* how often a pair of ends was given to a connection */
static int listeners[MOST_SERVERS];
static server servers[MOST_SERVERS];
static int server_count;
/* The line that all servers share, to them and from them. */
static int64_t shared_free_at[2], shared_bits_per_second;
static int64_t late[MOST_LATE];
static size_t late_count;
/* How late the system's timers wake this process, as learned so far: by so much it sleeps less, and spins for the rest. */
static int64_t lead = 50000;
enum { MOST_LEAD = 200000, LEAD_STEP = 1000 };

/* The clock of the kernel's time stamps. */
static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void fail(const char *what) {
  fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void push(queue *q, piece *p) {
  p->next = NULL;
  if (q->first == NULL) q->first = p;
  else q->last->next = p;
  q->last = p;
}

static piece *pop(queue *q) {
  piece *p = q->first;
  q->first = p->next;
  return p;
}

static void set_up(int fd) {
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/* Ends a connection; pieces of it that are still waiting find that the pair is used no more. */
static void hang_up(int number) {
  for (int e = number & ~1; e <= (number | 1); e++) {
    while (ends[e].out.first != NULL) free(pop(&ends[e].out));
    close(ends[e].fd);
    ends[e].fd = -1;
  }
  uses[number / 2]++;
}

static void take_connection(int to) {
  const int near = accept(listeners[to], NULL, NULL);
  if (near < 0) return;
  int pair = 0;
  while (pair < MOST_PAIRS && ends[2 * pair].fd >= 0) pair++;
  const int far = socket(AF_INET, SOCK_STREAM, 0);
  /* The server is on this machine: it takes the connection at once or refuses it. */
  if (pair == MOST_PAIRS || far < 0 ||
      connect(far, (struct sockaddr *)&servers[to].address, sizeof servers[to].address) != 0) {
    close(near);
    if (far >= 0) close(far);
    return;
  }
  set_up(near);
  set_up(far);
  ends[2 * pair] = (end){.fd = near, .server = to};
  ends[2 * pair + 1] = (end){.fd = far, .server = to};
}

/* Reads once. @returns bytes read, 0 at the end, -1 where nothing is there; when they came in *came */
static ssize_t receive(int fd, char *bytes, int64_t *came) {
  char control[CMSG_SPACE(sizeof(struct timespec))];
  struct iovec part = {bytes, PIECE};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  const ssize_t length = recvmsg(fd, &message, 0);
  *came = now();
  if (length < 0) return errno == EAGAIN || errno == EINTR ? -1 : 0;
  /* The kernel knows better when they came, as this process may have woken late. */
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
    struct timespec t;
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
    memcpy(&t, CMSG_DATA(c), sizeof t);
    const int64_t stamped = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
    if (stamped > 0 && stamped < *came) *came = stamped;
  }
  return length;
}

/* Puts so many bytes on a line. @returns when they have passed it */
static int64_t pass(int64_t *free_at, int64_t bits_per_second, int64_t came, ssize_t length) {
  if (bits_per_second == 0) return came;
  *free_at = (*free_at > came ? *free_at : came) + length * 8 * 1000000000 / bits_per_second;
  return *free_at;
}

static void read_from(int number) {
  static char bytes[PIECE];
  int64_t came;
  const ssize_t length = receive(ends[number].fd, bytes, &came);
  if (length < 0) return;
  ends[number].ended = length == 0;
  piece *p = malloc(sizeof *p + (size_t)length);
  if (p == NULL) fail("no memory");
  server *s = &servers[ends[number].server];
  const int direction = number & 1;
  /* Both at once, as bytes go on to the second line while others are still on the first. */
  const int64_t own = pass(&s->free_at[direction], s->bits_per_second, came, length);
  const int64_t common = pass(&shared_free_at[direction], shared_bits_per_second, came, length);
  const int64_t passed = own > common ? own : common;
  *p = (piece){.due = passed + s->delay, .to = number ^ 1, .pair_use = uses[number / 2], .length = (size_t)length};
  memcpy(p->bytes, bytes, p->length);
  ends[number].under_way += p->length;
  push(&s->waiting[direction], p);
}

/* Writes what is due, until the socket is full. */
static void write_to(int number) {
  queue *out = &ends[number].out;
  while (out->first != NULL) {
    piece *p = out->first;
    if (p->length == 0) {
      hang_up(number);
      return;
    }
    const ssize_t length = send(ends[number].fd, p->bytes + p->sent, p->length - p->sent, MSG_NOSIGNAL);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (length < 0) {
      hang_up(number);
      return;
    }
    p->sent += (size_t)length;
    if (p->sent < p->length) return;
    ends[number ^ 1].under_way -= p->length;
    free(pop(out));
  }
}

/* Passes on what is due of a queue. @returns when its next piece is, or INT64_MAX */
static int64_t deliver_of(queue *waiting) {
  while (waiting->first != NULL) {
    const int64_t time = now();
    if (waiting->first->due > time) return waiting->first->due;
    piece *p = pop(waiting);
    if (uses[p->to / 2] != p->pair_use) {
      free(p);
      continue;
    }
    late[late_count++ % MOST_LATE] = time - p->due;
    push(&ends[p->to].out, p);
    write_to(p->to);
  }
  return INT64_MAX;
}

/* Passes on all that is due. @returns when the next piece is, or INT64_MAX */
static int64_t deliver(void) {
  int64_t next = INT64_MAX;
  for (int i = 0; i < 2 * server_count; i++) {
    const int64_t due = deliver_of(&servers[i / 2].waiting[i & 1]);
    if (due < next) next = due;
  }
  return next;
}

/* Waits for the little that is left, and learns from how late a timer was where one was waited for. */
static void spin_until(int64_t due, int64_t overslept) {
  /* Four steps up for one down: spinning is for the most part shorter than timers are uneven. */
  if (overslept >= 0) lead += overslept > lead ? 4 * LEAD_STEP : -LEAD_STEP;
  if (lead > MOST_LEAD) lead = MOST_LEAD;
  if (lead < 0) lead = 0;
  while (now() < due) {}
}

/* Waits for something to read, or until `due`. @returns whether to go on */
static int wait_until(int64_t due) {
  static struct pollfd polled[1 + MOST_SERVERS + 2 * MOST_PAIRS];
  static int numbers[1 + MOST_SERVERS + 2 * MOST_PAIRS];
  nfds_t count = 0;
  polled[count++] = (struct pollfd){.fd = 0, .events = POLLIN};
  for (int i = 0; i < server_count; i++) {
    numbers[count] = i;
    polled[count++] = (struct pollfd){.fd = listeners[i], .events = POLLIN};
  }
  const nfds_t first_end = count;
  for (int i = 0; i < 2 * MOST_PAIRS; i++) {
    const short in = !ends[i].ended && ends[i].under_way < MOST_UNDER_WAY ? POLLIN : 0;
    const short out = ends[i].out.first != NULL ? POLLOUT : 0;
    /* One of which nothing is awaited would be reported again and again once its other side is gone. */
    if (ends[i].fd < 0 || (in | out) == 0) continue;
    numbers[count] = i;
    polled[count++] = (struct pollfd){.fd = ends[i].fd, .events = (short)(in | out)};
  }
  const int64_t wake = due - lead, left = wake - now();
  const struct timespec timeout = {left > 0 ? left / 1000000000 : 0, left > 0 ? left % 1000000000 : 0};
  const int ready = ppoll(polled, count, due == INT64_MAX ? NULL : &timeout, NULL);
  if (ready <= 0) {
    if (due != INT64_MAX) spin_until(due, left > 0 ? now() - wake : -1);
    return 1;
  }
  for (nfds_t i = 1; i < count; i++) {
    if (polled[i].revents == 0) continue;
    const int number = numbers[i];
    if (i < first_end) {
      take_connection(number);
      continue;
    }
    /* Its partner may just have ended it, and a new connection have its place. */
    if (ends[number].fd != polled[i].fd) continue;
    if (polled[i].events & POLLOUT) write_to(number);
    if (polled[i].events & POLLIN && ends[number].fd == polled[i].fd) read_from(number);
  }
  return !(polled[0].revents & (POLLIN | POLLHUP));
}

static int compare(const void *a, const void *b) {
  const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static void listen_for(int i, const char *text) {
  char host[64];
  unsigned port;
  long long delay, bits_per_second;
  if (sscanf(text, "%63[0-9.]:%u/%lld/%lld", host, &port, &delay, &bits_per_second) != 4 || port > UINT16_MAX) exit(2);
  if (delay < 0 || bits_per_second < 0) exit(2);
  server *s = &servers[i];
  *s = (server){.delay = delay, .bits_per_second = bits_per_second};
  s->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  if (inet_pton(AF_INET, host, &s->address.sin_addr) != 1) exit(2);
  struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof own;
  listeners[i] = socket(AF_INET, SOCK_STREAM, 0);
  if (listeners[i] < 0 || bind(listeners[i], (struct sockaddr *)&own, sizeof own) != 0 || listen(listeners[i], 64) != 0 ||
      getsockname(listeners[i], (struct sockaddr *)&own, &length) != 0)
    fail("cannot listen");
  printf("%d ", ntohs(own.sin_port));
}

int main(int argc, char **argv) {
  if (argc < 3 || argc - 2 > MOST_SERVERS) return 2;
  shared_bits_per_second = strtoll(argv[1], NULL, 10);
  server_count = argc - 2;
  if (shared_bits_per_second < 0) return 2;
  /* Where the system allows it, this comes before whatever computes, as a network does. */
  sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1});
  prctl(PR_SET_TIMERSLACK, 1);
  for (int i = 0; i < 2 * MOST_PAIRS; i++) ends[i].fd = -1;
  for (int i = 0; i < server_count; i++) listen_for(i, argv[2 + i]);
  printf("\n");
  fflush(stdout);
  while (wait_until(deliver())) {}
  const size_t count = late_count < MOST_LATE ? late_count : MOST_LATE;
  qsort(late, count, sizeof *late, compare);
  if (count > 0) printf("%zu %lld %lld\n", late_count, (long long)late[count / 2], (long long)late[count * 99 / 100]);
  return 0;
}
