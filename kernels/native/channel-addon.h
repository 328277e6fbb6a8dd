// N-API face of a data link's channel: openChannel(sealKey, openKey, masks). The cipher is the one that Node carries, looked up
// at run time; where it or BSD sockets are missing, openChannel is not exported and links are read and written in JavaScript.
#pragma once
#include <node_api.h>

#if defined(_WIN32)
static void export_channel(napi_env env, napi_value exports) { (void)env; (void)exports; }
#else
#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <sys/socket.h>

#include "channel.h"

#if !defined(MSG_NOSIGNAL)
#define MSG_NOSIGNAL 0
#endif

// Of OpenSSL's EVP interface, what is used; declared here, as addons are built without its headers.
static struct {
  void *(*new_state)(void);
  void (*free_state)(void *);
  const void *(*cipher)(void);
  int (*init)(void *state, const void *cipher, void *engine, const uint8_t *key, const uint8_t *nonce, int sealing);
  int (*control)(void *state, int what, int length, void *bytes);
  int (*update)(void *state, uint8_t *out, int *written, const uint8_t *in, int length);
  int (*final)(void *state, uint8_t *out, int *written);
} evp;
enum { EVP_GET_TAG = 0x10, EVP_SET_TAG = 0x11 };

static int evp_find(void) {
  void **const places[] = {(void **)&evp.new_state, (void **)&evp.free_state, (void **)&evp.cipher, (void **)&evp.init,
                           (void **)&evp.control,   (void **)&evp.update,     (void **)&evp.final};
  static const char *const names[] = {"EVP_CIPHER_CTX_new",  "EVP_CIPHER_CTX_free", "EVP_chacha20_poly1305", "EVP_CipherInit_ex",
                                      "EVP_CIPHER_CTX_ctrl", "EVP_CipherUpdate",    "EVP_CipherFinal_ex"};
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    *places[i] = dlsym(RTLD_DEFAULT, names[i]);
    if (*places[i] == NULL) return 0;
  }
  return 1;
}

// -1 leaves sealing or opening as it is.
static int evp_begin(void *state, const uint8_t nonce[12]) { return evp.init(state, NULL, NULL, NULL, nonce, -1) == 1; }
static int evp_update(void *state, uint8_t *out, const uint8_t *in, size_t length) {
  int written;
  return length == 0 || evp.update(state, out, &written, in, (int)length) == 1;
}
static int evp_seal(void *state, uint8_t tag[CHANNEL_TAG]) {
  int written;
  return evp.final(state, tag, &written) == 1 && evp.control(state, EVP_GET_TAG, CHANNEL_TAG, tag) == 1;
}
static int evp_open(void *state, const uint8_t tag[CHANNEL_TAG]) {
  uint8_t copy[CHANNEL_TAG];
  int written;
  memcpy(copy, tag, CHANNEL_TAG);
  return evp.control(state, EVP_SET_TAG, CHANNEL_TAG, copy) == 1 && evp.final(state, copy, &written) == 1;
}
static const channel_cipher CHACHA = {evp_begin, evp_update, evp_seal, evp_open};

static void *evp_state(const uint8_t key[32], int sealing) {
  void *state = evp.new_state();
  if (state != NULL && evp.init(state, evp.cipher(), NULL, key, NULL, sealing) == 1) return state;
  if (state != NULL) evp.free_state(state);
  return NULL;
}

static void channel_release(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  channel *const c = data;
  if (c->sealing != NULL) evp.free_state(c->sealing);
  if (c->opening != NULL) evp.free_state(c->opening);
  free(c->in);
  free(c->out);
  free(c);
}

static napi_value channel_throw(napi_env env, const char *what) {
  napi_throw_error(env, "CHANNEL", what);
  return NULL;
}

static napi_value channel_number(napi_env env, long value) {
  napi_value result;
  napi_create_int64(env, value, &result);
  return result;
}

#define CHANNEL_ARGUMENTS 4
typedef struct {
  channel *channel;
  napi_value argument[CHANNEL_ARGUMENTS];
  size_t count;
} channel_call;

static channel_call channel_begin(napi_env env, napi_callback_info info) {
  channel_call call = {.count = CHANNEL_ARGUMENTS};
  void *data = NULL;
  napi_get_cb_info(env, info, &call.count, call.argument, NULL, &data);
  call.channel = data;
  return call;
}

// The bytes of a Uint8Array argument. 0 when it is none.
static int channel_bytes(napi_env env, const channel_call *call, size_t i, uint8_t **bytes, size_t *length) {
  napi_typedarray_type type;
  void *data = NULL;
  if (i >= call->count || napi_get_typedarray_info(env, call->argument[i], &type, length, &data, NULL, NULL) != napi_ok || type != napi_uint8_array)
    return 0;
  *bytes = data;
  return 1;
}

static int channel_descriptor(napi_env env, const channel_call *call) {
  int32_t descriptor = -1;
  napi_get_value_int32(env, call->argument[0], &descriptor);
  return descriptor;
}

// send(descriptor, header, first?, second?): seals these as one message and writes it, as far as the socket takes it at once;
// nothing is written with -1 for a descriptor. Returns how many bytes are left for `rest`.
static napi_value channel_method_send(napi_env env, napi_callback_info info) {
  const channel_call call = channel_begin(env, info);
  channel *const c = call.channel;
  channel_part parts[CHANNEL_ARGUMENTS - 1];
  int count = 0;
  for (size_t i = 1; i < call.count; i++, count++) {
    uint8_t *bytes;
    if (!channel_bytes(env, &call, i, &bytes, &parts[count].length)) return channel_throw(env, "a part of a message is no Uint8Array");
    parts[count].bytes = bytes;
  }
  if (!channel_seal(c, parts, count)) return channel_throw(env, "a message could not be sealed");
  const int descriptor = channel_descriptor(env, &call);
  while (descriptor >= 0 && c->sent < c->out_end) {
    const ssize_t written = send(descriptor, c->out + c->sent, c->out_end - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    // Whatever is wrong with the socket, who writes the rest is told.
    if (written < 0 && errno != EINTR) break;
    if (written > 0) c->sent += (size_t)written;
  }
  return channel_number(env, (long)(c->out_end - c->sent));
}

// rest(target): copies what `send` left.
static napi_value channel_method_rest(napi_env env, napi_callback_info info) {
  const channel_call call = channel_begin(env, info);
  channel *const c = call.channel;
  uint8_t *target;
  size_t length;
  if (!channel_bytes(env, &call, 0, &target, &length) || length != c->out_end - c->sent) return channel_throw(env, "the rest has another length");
  memcpy(target, c->out + c->sent, length);
  c->sent = c->out_end;
  return NULL;
}

// receive(descriptor): reads what waits there. Returns how many bytes that were.
static napi_value channel_method_receive(napi_env env, napi_callback_info info) {
  const channel_call call = channel_begin(env, info);
  channel *const c = call.channel;
  if (!channel_room(c, CHANNEL_READ)) return channel_throw(env, "out of memory");
  ssize_t got;
  do got = recv(channel_descriptor(env, &call), c->in + c->end, c->in_size - c->end, MSG_DONTWAIT);
  while (got < 0 && errno == EINTR);
  if (got <= 0) {
    // Who asks does so in a loop: whoever else wants this core, perhaps who is to answer, has it first. An end or an error stays
    // for the event loop to find.
    sched_yield();
    return channel_number(env, 0);
  }
  c->end += (size_t)got;
  return channel_number(env, (long)got);
}

static napi_value channel_method_feed(napi_env env, napi_callback_info info) {
  const channel_call call = channel_begin(env, info);
  uint8_t *bytes;
  size_t length;
  if (!channel_bytes(env, &call, 0, &bytes, &length)) return channel_throw(env, "feed takes a Uint8Array");
  if (!channel_feed(call.channel, bytes, length)) return channel_throw(env, "out of memory");
  return NULL;
}

// next(): what channel_next says.
static napi_value channel_method_next(napi_env env, napi_callback_info info) {
  const channel_call call = channel_begin(env, info);
  return channel_number(env, channel_next(call.channel));
}

// open(target): the message that `next` found, of that length. Returns whether the other side sealed it.
static napi_value channel_method_open(napi_env env, napi_callback_info info) {
  const channel_call call = channel_begin(env, info);
  uint8_t *target;
  size_t length;
  if (!channel_bytes(env, &call, 0, &target, &length) || (long)length != channel_next(call.channel)) return channel_throw(env, "the message has another length");
  napi_value result;
  napi_get_boolean(env, channel_open(call.channel, target) != 0, &result);
  return result;
}

// closing(): the content of the closing frame that `next` found.
static napi_value channel_method_closing(napi_env env, napi_callback_info info) {
  const channel_call call = channel_begin(env, info);
  if (channel_next(call.channel) != CHANNEL_CLOSE) return channel_throw(env, "there is no closing frame");
  size_t length;
  const uint8_t *const content = channel_close_content(call.channel, &length);
  napi_value result;
  napi_create_buffer_copy(env, length, content, NULL, &result);
  return result;
}

static napi_value open_channel(napi_env env, napi_callback_info info) {
  static const struct {
    const char *name;
    napi_callback method;
  } methods[] = {
      {"send", channel_method_send}, {"rest", channel_method_rest}, {"receive", channel_method_receive}, {"feed", channel_method_feed},
      {"next", channel_method_next}, {"open", channel_method_open}, {"closing", channel_method_closing},
  };
  const channel_call call = channel_begin(env, info);
  uint8_t *keys[2];
  for (size_t i = 0; i < 2; i++) {
    size_t length;
    if (!channel_bytes(env, &call, i, &keys[i], &length) || length != 32) return channel_throw(env, "a channel takes two keys of 32 bytes");
  }
  bool masks = false;
  napi_get_value_bool(env, call.argument[2], &masks);
  channel *c = calloc(1, sizeof(channel));
  if (c == NULL) return channel_throw(env, "out of memory");
  c->cipher = &CHACHA;
  c->masks = masks;
  c->sealing = evp_state(keys[0], 1);
  c->opening = evp_state(keys[1], 0);
  if (c->sealing == NULL || c->opening == NULL) {
    channel_release(env, c, NULL);
    return channel_throw(env, "the cipher cannot be had");
  }
  napi_value object;
  napi_create_object(env, &object);
  napi_wrap(env, object, c, channel_release, NULL, NULL);
  for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
    napi_value method;
    napi_create_function(env, methods[i].name, NAPI_AUTO_LENGTH, methods[i].method, c, &method);
    napi_set_named_property(env, object, methods[i].name, method);
  }
  return object;
}

static void export_channel(napi_env env, napi_value exports) {
  napi_value function;
  if (!evp_find()) return;
  napi_create_function(env, "openChannel", NAPI_AUTO_LENGTH, open_channel, NULL, &function);
  napi_set_named_property(env, exports, "openChannel", function);
}
#endif
