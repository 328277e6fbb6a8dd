// A call from JavaScript: its arguments as numbers and places in the arena.
#pragma once
#include <math.h>
#include <node_api.h>
#include <stdlib.h>
#include <string.h>

#include "../c/kernels.h"

enum tile_kind { FEED_FORWARD, KEY_VALUE, ATTENTION };

typedef struct tile {
  enum tile_kind kind;
  union {
    feed_forward_tile feed_forward;
    key_value_tile key_value;
    // Its caches follow.
    attention_tile attention;
  };
} tile;

typedef struct {
  const starling_kernels *kernels;
  // Tiles that were made ready, of which each begins with its kind.
  struct tile **tiles;
  uint32_t tile_count;
  uint32_t segments;
  uint8_t *base[];
} arena;

#define MOST_ARGUMENTS 15

typedef struct {
  napi_env env;
  arena *arena;
  double value[MOST_ARGUMENTS];
  int failed;
} call;

static call begin(napi_env env, napi_callback_info info, size_t wanted) {
  call c = {.env = env};
  napi_value argument[MOST_ARGUMENTS];
  size_t count = MOST_ARGUMENTS;
  void *data;
  napi_get_cb_info(env, info, &count, argument, NULL, &data);
  c.arena = data;
  if (count < wanted) c.failed = 1;
  for (size_t i = 0; i < wanted && !c.failed; i++) {
    napi_valuetype type = napi_undefined;
    if (napi_get_value_double(env, argument[i], &c.value[i]) == napi_ok) continue;
    napi_typeof(env, argument[i], &type);
    c.value[i] = NAN;
    if (type != napi_null) c.failed = 1;
  }
  return c;
}

// NULL for an address in no segment.
static void *place_in(const arena *a, double address) {
  if (!(address >= 0 && address < (double)a->segments * 0x1p32)) return NULL;
  const uint64_t where = (uint64_t)address;
  return a->base[where >> 32] + (uint32_t)where;
}

static void *at(call *c, int i) {
  void *const place = place_in(c->arena, c->value[i]);
  if (place == NULL) c->failed = 1;
  return place;
}

// NULL for null.
static void *at_or_null(call *c, int i) { return isnan(c->value[i]) ? NULL : at(c, i); }

static int number(const call *c, int i) { return (int)c->value[i]; }

static napi_value finish(const call *c) {
  if (c->failed) napi_throw_range_error(c->env, "KERNEL_ARGUMENT", "a kernel call has an argument that is no number or an address in no segment");
  return NULL;
}

static napi_value finish_boolean(const call *c, int value) {
  napi_value result;
  if (c->failed) return finish(c);
  napi_get_boolean(c->env, value != 0, &result);
  return result;
}

static napi_value finish_number(const call *c, int value) {
  napi_value result;
  if (c->failed) return finish(c);
  napi_create_int32(c->env, value, &result);
  return result;
}

#define METHOD(name, count, ...)                                         \
  static napi_value method_##name(napi_env env, napi_callback_info info) { \
    call c = begin(env, info, count);                                     \
    if (c.failed) return finish(&c);                                      \
    const starling_kernels *k = c.arena->kernels;                         \
    __VA_ARGS__                                                           \
  }
#define P(i) at(&c, i)
#define P_OR_NULL(i) at_or_null(&c, i)
#define N(i) number(&c, i)
// Arguments are resolved before the call, so that a bad address throws instead of being followed.
#define RESOLVED if (c.failed) return finish(&c)
