// Fuzzes the frame reader of native data links (kernels/native/channel.h): fuzz-frames SECONDS SEED. Built with AddressSanitizer
// by fuzz-frames.ts. Random messages are sealed by one channel, cut into random pieces, often changed on their way, and read by
// another. What was not changed must arrive as it was sent; of what was changed, nothing may arrive that was not sent in its place.
#include <stdio.h>
#include <time.h>

#include "../kernels/native/channel.h"

static uint64_t random_state;
static uint64_t random_word(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}
static size_t below(size_t n) { return n == 0 ? 0 : (size_t)(random_word() % n); }

// A cipher that is fast and no secret: content plus a stream that the nonce begins, and a checksum of both as the tag.
typedef struct {
  uint64_t stream, sum;
  int opens;
} toy;

static int toy_begin(void *state, const uint8_t nonce[12]) {
  toy *t = state;
  t->stream = 0x9e3779b97f4a7c15u;
  for (int i = 0; i < 12; i++) t->stream = (t->stream ^ nonce[i]) * 0x100000001b3u;
  t->sum = t->stream;
  return 1;
}
static int toy_update(void *state, uint8_t *out, const uint8_t *in, size_t length) {
  toy *t = state;
  for (size_t i = 0; i < length; i++) {
    t->stream = t->stream * 6364136223846793005u + 1442695040888963407u;
    out[i] = in[i] ^ (uint8_t)(t->stream >> 56);
    t->sum = (t->sum ^ (t->opens ? in[i] : out[i])) * 0x100000001b3u;
  }
  return 1;
}
static int toy_seal(void *state, uint8_t tag[CHANNEL_TAG]) {
  const uint64_t sum = ((toy *)state)->sum;
  for (int i = 0; i < 16; i++) tag[i] = (uint8_t)(sum >> (8 * (i % 8))) ^ (uint8_t)i;
  return 1;
}
static int toy_open(void *state, const uint8_t tag[CHANNEL_TAG]) {
  uint8_t own[CHANNEL_TAG];
  toy_seal(state, own);
  return memcmp(own, tag, CHANNEL_TAG) == 0;
}
static const channel_cipher TOY = {toy_begin, toy_update, toy_seal, toy_open};

static void fail(uint64_t seed, const char *what) {
  fprintf(stderr, "seed %llu: %s\n", (unsigned long long)seed, what);
  exit(1);
}

#define MOST_MESSAGES 24

typedef struct {
  uint8_t *bytes;
  size_t length;
} message;

// Changes some bytes of a stream, or cuts, repeats or inserts some. Returns the first place that differs.
static size_t mutate(uint8_t **stream, size_t *length) {
  const size_t at = below(*length), span = 1 + below(below(2) ? 8 : 4096);
  size_t end = at + span > *length ? *length : at + span;
  if (*length == 0) return 0;
  switch (below(4)) {
    case 0:
      for (size_t i = at; i < end; i++) (*stream)[i] ^= (uint8_t)(1 + below(255));
      break;
    case 1:
      memmove(*stream + at, *stream + end, *length - end);
      *length -= end - at;
      break;
    case 2: {
      uint8_t *longer = malloc(*length + (end - at));
      memcpy(longer, *stream, end);
      memcpy(longer + end, *stream + at, *length - at);
      free(*stream);
      *stream = longer;
      *length += end - at;
      break;
    }
    default: {
      static const uint8_t telling[] = {0x82, 0x88, 0x81, 0x02, 0x89, 0x7e, 0x7f, 0xfe, 0xff, 0x80, 0x00, 0x90};
      for (size_t i = at; i < end && i < at + 10; i++) (*stream)[i] = telling[below(sizeof(telling))];
    }
  }
  return at;
}

static void run(uint64_t seed) {
  random_state = seed * 0x9e3779b97f4a7c15u + 1;
  toy seals = {0}, opens = {.opens = 1}, unused = {0};
  const int masks = (int)below(2);
  channel out = {.cipher = &TOY, .sealing = &seals, .opening = &unused, .masks = masks};
  channel in = {.cipher = &TOY, .sealing = &unused, .opening = &opens, .masks = !masks};
  message sent[MOST_MESSAGES];
  size_t starts[MOST_MESSAGES + 1];
  const size_t count = 1 + below(MOST_MESSAGES);
  uint8_t *stream = NULL;
  size_t length = 0;
  for (size_t m = 0; m < count; m++) {
    static const size_t usual[] = {0, 1, 24, 109, 110, 125, 126, 65519, 65520, 65536, 200000};
    const size_t bytes = below(8) ? below(below(16) ? 300 : 70000) : usual[below(sizeof(usual) / sizeof(usual[0]))];
    sent[m] = (message){malloc(bytes + 1), bytes};
    for (size_t i = 0; i < bytes; i++) sent[m].bytes[i] = (uint8_t)random_word();
    const size_t cut = below(bytes + 1);
    const channel_part parts[] = {{sent[m].bytes, cut}, {sent[m].bytes + cut, bytes - cut}};
    if (!channel_seal(&out, parts, 2)) fail(seed, "a message was not sealed");
    stream = realloc(stream, length + out.out_end);
    memcpy(stream + length, out.out, out.out_end);
    starts[m] = length;
    length += out.out_end;
  }
  starts[count] = length;
  const int changed = below(4) != 0;
  const size_t sure = changed ? mutate(&stream, &length) : length;
  size_t arrived = 0, at = 0;
  int over = 0;
  while (at < length && !over) {
    size_t piece = 1 + below(below(2) ? 20 : 100000);
    if (piece > length - at) piece = length - at;
    if (below(2)) {
      if (!channel_feed(&in, stream + at, piece)) fail(seed, "no memory");
    } else {
      // As a socket is read: as much as there is room for.
      if (!channel_room(&in, CHANNEL_READ)) fail(seed, "no memory");
      if (in.in_size - in.end < CHANNEL_READ) fail(seed, "less room than was asked for");
      if (piece > in.in_size - in.end) piece = in.in_size - in.end;
      memcpy(in.in + in.end, stream + at, piece);
      in.end += piece;
    }
    at += piece;
    for (long found = channel_next(&in); found != CHANNEL_NONE && !over; found = over ? CHANNEL_NONE : channel_next(&in)) {
      if (found == CHANNEL_CLOSE) {
        size_t bytes;
        const uint8_t *const content = channel_close_content(&in, &bytes);
        volatile uint8_t sum = 0;
        for (size_t i = 0; i < bytes; i++) sum ^= content[i];
        if (bytes > 125) fail(seed, "a closing frame is too long");
        over = 1;
      } else if (found < 0) {
        over = 1;
      } else {
        if ((uint64_t)found > CHANNEL_MOST) fail(seed, "a message is too long");
        // Of its very length, so that a byte too many is found.
        uint8_t *plain = malloc((size_t)found);
        if (!channel_open(&in, plain)) {
          over = 1;
        } else {
          if (arrived >= count || sent[arrived].length != (size_t)found || memcmp(sent[arrived].bytes, plain, (size_t)found) != 0)
            fail(seed, "a message arrived that was not sent in its place");
          arrived++;
        }
        free(plain);
      }
    }
  }
  for (size_t m = 0; m < count; m++) {
    if (starts[m + 1] <= sure && arrived <= m) fail(seed, "a message did not arrive that was not changed");
    free(sent[m].bytes);
  }
  if (!changed && arrived != count) fail(seed, "not every message arrived");
  free(stream);
  free(in.in);
  free(in.out);
  free(out.in);
  free(out.out);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  const double seconds = atof(argv[1]);
  uint64_t seed = strtoull(argv[2], NULL, 10), cases = 0;
  struct timespec begun, now;
  clock_gettime(CLOCK_MONOTONIC, &begun);
  do {
    run(seed + cases++);
    clock_gettime(CLOCK_MONOTONIC, &now);
  } while ((double)(now.tv_sec - begun.tv_sec) + 1e-9 * (double)(now.tv_nsec - begun.tv_nsec) < seconds);
  printf("%llu cases from seed %llu\n", (unsigned long long)cases, (unsigned long long)seed);
  return 0;
}
