// One data link's messages: WebSocket frames (RFC 6455) around ChaCha20-Poly1305 (RFC 8439), read from and written to a
// socket. Pure C, with the cipher handed in, so that scripts/fuzz-frames.c can run it without Node.
#pragma once
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// Longest plaintext: a frame's header and payload (HEADER_BYTES + MAX_FRAME in daemon/protocol/frames.ts).
#define CHANNEL_MOST (24 + (16u << 20))
#define CHANNEL_TAG 16u
// Bytes before the content of a WebSocket frame: 2, a length of 8, a mask of 4.
#define CHANNEL_HEAD 14u
// Read at once when nothing is known of what comes; and what an idle buffer keeps at most.
#define CHANNEL_READ (64u << 10)
#define CHANNEL_KEPT (1u << 20)

// A cipher under one key. Each returns 0 when it fails.
typedef struct {
  int (*begin)(void *state, const uint8_t nonce[12]);
  int (*update)(void *state, uint8_t *out, const uint8_t *in, size_t length);
  // Sealing gives the tag; opening checks it.
  int (*seal)(void *state, uint8_t tag[CHANNEL_TAG]);
  int (*open)(void *state, const uint8_t tag[CHANNEL_TAG]);
} channel_cipher;

typedef struct {
  const channel_cipher *cipher;
  void *sealing, *opening;
  // Messages so far in either direction: the nonce of the next.
  uint64_t sealed, opened;
  // Whether frames that are sent are masked, as a client's are; those that come are then not, and the other way round.
  int masks;
  // Bytes that came: [start, end) of `in` is unread.
  uint8_t *in;
  size_t in_size, start, end;
  // The last frame: [sent, out_end) of `out` is still to be written.
  uint8_t *out;
  size_t out_size, sent, out_end;
} channel;

// What channel_next finds. A length, of the next message's plaintext, is not negative.
enum { CHANNEL_NONE = -1, CHANNEL_CLOSE = -2, CHANNEL_MALFORMED = -3, CHANNEL_TOO_LONG = -4 };

static void channel_nonce(uint64_t count, uint8_t nonce[12]) {
  memset(nonce, 0, 4);
  for (int i = 0; i < 8; i++) nonce[4 + i] = (uint8_t)(count >> (8 * i));
}

static int channel_reserve(uint8_t **buffer, size_t *size, size_t wanted) {
  if (*size >= wanted) return 1;
  uint8_t *grown = realloc(*buffer, wanted);
  if (grown == NULL) return 0;
  *buffer = grown;
  *size = wanted;
  return 1;
}

typedef struct {
  long status;     // CHANNEL_NONE while more must come, or what is wrong, or the content's length
  size_t head;     // bytes before the content
  int is_close;
} channel_frame;

// Reads the head of a frame at `bytes`. Of what RFC 6455 allows, only what the other side sends is taken: whole binary messages
// and closing frames, lengths in their shortest form, masks where they must be, of zero.
static channel_frame channel_read_head(const uint8_t *bytes, size_t length, int masked) {
  channel_frame frame = {CHANNEL_NONE, 2, 0};
  if (length < 2) return frame;
  frame.is_close = bytes[0] == 0x88;
  if ((bytes[0] != 0x82 && !frame.is_close) || (bytes[1] >> 7) != masked) return (channel_frame){CHANNEL_MALFORMED, 0, 0};
  uint64_t content = bytes[1] & 0x7f;
  const size_t more = content == 127 ? 8 : content == 126 ? 2 : 0;
  if (more > 0 && frame.is_close) return (channel_frame){CHANNEL_MALFORMED, 0, 0};
  if (length < frame.head + more) return frame;
  if (more > 0) {
    content = 0;
    for (size_t i = 0; i < more; i++) content = content << 8 | bytes[frame.head + i];
    if (content < (more == 2 ? 126u : 65536u)) return (channel_frame){CHANNEL_MALFORMED, 0, 0};
    frame.head += more;
  }
  if (!frame.is_close && content < CHANNEL_TAG) return (channel_frame){CHANNEL_MALFORMED, 0, 0};
  if (content > CHANNEL_MOST + CHANNEL_TAG) return (channel_frame){CHANNEL_TOO_LONG, 0, 0};
  if (masked) {
    if (length < frame.head + 4) return frame;
    for (int i = 0; i < 4; i++) {
      if (bytes[frame.head + i] != 0) return (channel_frame){CHANNEL_MALFORMED, 0, 0};
    }
    frame.head += 4;
  }
  frame.status = (long)content;
  return frame;
}

// What is next in what came so far: a whole message (its plaintext's length), nothing yet, an end, or something wrong.
static long channel_next(const channel *c) {
  const size_t have = c->end - c->start;
  const channel_frame frame = channel_read_head(c->in + c->start, have, !c->masks);
  if (frame.status < 0) return frame.status;
  if (have < frame.head + (size_t)frame.status) return CHANNEL_NONE;
  return frame.is_close ? CHANNEL_CLOSE : frame.status - (long)CHANNEL_TAG;
}

// The content of the closing frame that channel_next found.
static const uint8_t *channel_close_content(const channel *c, size_t *length) {
  const channel_frame frame = channel_read_head(c->in + c->start, c->end - c->start, !c->masks);
  *length = (size_t)frame.status;
  return c->in + c->start + frame.head;
}

// Makes room for at least `wanted` bytes after `end`, and for the rest of a message that has begun. 0 when there is no memory.
static int channel_room(channel *c, size_t wanted) {
  const size_t have = c->end - c->start;
  size_t needed = have + wanted;
  const channel_frame frame = channel_read_head(c->in + c->start, have, !c->masks);
  if (frame.status >= 0 && needed < frame.head + (size_t)frame.status) needed = frame.head + (size_t)frame.status;
  if (c->start > 0 && (have == 0 || c->start + needed > c->in_size)) {
    memmove(c->in, c->in + c->start, have);
    c->start = 0;
    c->end = have;
  }
  if (have == 0 && c->in_size > CHANNEL_KEPT && needed <= CHANNEL_READ) {
    free(c->in);
    c->in = NULL;
    c->in_size = 0;
  }
  return channel_reserve(&c->in, &c->in_size, c->start + needed);
}

// Takes bytes that came by another way than channel_receive. 0 when there is no memory.
static int channel_feed(channel *c, const uint8_t *bytes, size_t length) {
  if (!channel_room(c, length)) return 0;
  memcpy(c->in + c->end, bytes, length);
  c->end += length;
  return 1;
}

// Opens the message that channel_next found. 0 when it is not what the other side sealed at this place.
static int channel_open(channel *c, uint8_t *plain) {
  const channel_frame frame = channel_read_head(c->in + c->start, c->end - c->start, !c->masks);
  const size_t length = (size_t)frame.status - CHANNEL_TAG;
  const uint8_t *const sealed = c->in + c->start + frame.head;
  uint8_t nonce[12];
  channel_nonce(c->opened++, nonce);
  c->start += frame.head + (size_t)frame.status;
  return c->cipher->begin(c->opening, nonce) && c->cipher->update(c->opening, plain, sealed, length) &&
         c->cipher->open(c->opening, sealed + length);
}

typedef struct {
  const uint8_t *bytes;
  size_t length;
} channel_part;

// Seals the parts as one message into `out`. 0 when it is too long, there is no memory, or the cipher fails.
static int channel_seal(channel *c, const channel_part *parts, int count) {
  size_t length = 0;
  for (int i = 0; i < count; i++) length += parts[i].length;
  if (length > CHANNEL_MOST) return 0;
  if (c->out_size > CHANNEL_KEPT && length <= CHANNEL_READ) {
    free(c->out);
    c->out = NULL;
    c->out_size = 0;
  }
  if (!channel_reserve(&c->out, &c->out_size, CHANNEL_HEAD + length + CHANNEL_TAG)) return 0;
  const uint64_t content = length + CHANNEL_TAG;
  const size_t more = content > 65535 ? 8 : content > 125 ? 2 : 0;
  uint8_t *to = c->out;
  *to++ = 0x82;
  *to++ = (uint8_t)((c->masks ? 0x80 : 0) | (more == 8 ? 127 : more == 2 ? 126 : content));
  for (size_t i = more; i-- > 0;) *to++ = (uint8_t)(content >> (8 * i));
  // A mask of zero: it would hide what is sealed anyway.
  if (c->masks) {
    memset(to, 0, 4);
    to += 4;
  }
  uint8_t nonce[12];
  channel_nonce(c->sealed++, nonce);
  if (!c->cipher->begin(c->sealing, nonce)) return 0;
  for (int i = 0; i < count; i++) {
    if (!c->cipher->update(c->sealing, to, parts[i].bytes, parts[i].length)) return 0;
    to += parts[i].length;
  }
  if (!c->cipher->seal(c->sealing, to)) return 0;
  c->sent = 0;
  c->out_end = (size_t)(to - c->out) + CHANNEL_TAG;
  return 1;
}
