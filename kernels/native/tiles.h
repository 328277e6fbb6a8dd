// Tiles that are made ready once and computed again and again: what kernels/tile-words.ts writes becomes what kernels/c/tiles.h takes.
#pragma once
#include "call.h"

// The words that a tile is made ready from, one after the other.
typedef struct {
  const arena *arena;
  const double *next, *end;
  int failed;
} words;

static double next_number(words *w) {
  if (w->next < w->end) return *w->next++;
  w->failed = 1;
  return 0;
}
static int next_int(words *w) { return (int)next_number(w); }
static void *next_place(words *w) {
  void *const place = place_in(w->arena, next_number(w));
  if (place == NULL) w->failed = 1;
  return place;
}
// NULL for NaN.
static void *next_place_or_null(words *w) {
  if (w->next < w->end && isnan(*w->next)) {
    w->next++;
    return NULL;
  }
  return next_place(w);
}
static void next_matrix(words *w, matrix *m) {
  m->format = next_int(w);
  m->weights = next_place(w);
  m->rows = next_int(w);
  m->cols = next_int(w);
}
static void next_buffers(words *w, tile_buffers *b) {
  for (int i = 0; i < 2; i++) b->panels[i] = next_place(w);
  for (int i = 0; i < 2; i++) b->inner[i] = next_place(w);
  b->inner_stride = next_int(w);
  b->inner_panel = next_place(w);
  b->sums = next_place(w);
  b->sum_stride = next_int(w);
}
static void next_step(words *w, step_rows *s) {
  s->positions = next_place(w);
  s->tables = next_place(w);
  s->pages = next_place(w);
  s->rope = next_place(w);
}

static void read_tile(words *w, tile *t, size_t caches) {
  switch (t->kind) {
    case FEED_FORWARD: {
      feed_forward_tile *const f = &t->feed_forward;
      next_matrix(w, &f->gate);
      next_matrix(w, &f->up);
      next_matrix(w, &f->down);
      next_buffers(w, &f->buffers);
      f->limit = next_number(w);
      f->gate_bias = next_place_or_null(w);
      f->up_bias = next_place_or_null(w);
      f->gathered = next_place_or_null(w);
      f->activation = next_int(w);
      break;
    }
    case KEY_VALUE: {
      key_value_tile *const kv = &t->key_value;
      next_matrix(w, &kv->k);
      next_matrix(w, &kv->v);
      next_buffers(w, &kv->buffers);
      next_step(w, &kv->step);
      kv->kv_format = next_int(w);
      kv->head_dim = next_int(w);
      kv->cache = next_place(w);
      kv->k_bias = next_place_or_null(w);
      kv->v_bias = next_place_or_null(w);
      kv->k_norm = next_place_or_null(w);
      kv->k_factors = next_place_or_null(w);
      kv->eps = (float)next_number(w);
      break;
    }
    case ATTENTION: {
      attention_tile *const a = &t->attention;
      next_matrix(w, &a->q);
      next_matrix(w, &a->out);
      next_buffers(w, &a->buffers);
      next_step(w, &a->step);
      a->limit = next_number(w);
      a->kv_format = next_int(w);
      a->head_dim = next_int(w);
      a->scale = (float)next_number(w);
      a->group = next_int(w);
      a->q_bias = next_place_or_null(w);
      a->q_norm = next_place_or_null(w);
      a->q_factors = next_place_or_null(w);
      a->eps = (float)next_number(w);
      a->window = next_int(w);
      a->soft_cap = (float)next_number(w);
      a->sinks = next_place_or_null(w);
      a->cache_count = (int)caches;
      for (size_t i = 0; i < caches; i++) a->caches[i] = next_place(w);
      break;
    }
  }
}

// Tiles for which there is room in the list.
#define TILE_ROOM 256

// prepare(words: Float64Array, caches: number): the number of the tile.
static napi_value prepare(napi_env env, napi_callback_info info, enum tile_kind kind) {
  napi_value argument[2], result;
  size_t count = 2, length = 0;
  void *data = NULL, *values = NULL;
  napi_typedarray_type type;
  uint32_t caches = 0;
  napi_get_cb_info(env, info, &count, argument, NULL, &data);
  if (count < 2 || napi_get_typedarray_info(env, argument[0], &type, &length, &values, NULL, NULL) != napi_ok ||
      type != napi_float64_array || napi_get_value_uint32(env, argument[1], &caches) != napi_ok || caches > length) {
    napi_throw_type_error(env, "KERNEL_ARGUMENT", "a tile is made ready from a Float64Array and a number of caches");
    return NULL;
  }
  arena *const a = data;
  tile *const made = malloc(sizeof(tile) + caches * sizeof(uint8_t *));
  if (made != NULL && a->tile_count % TILE_ROOM == 0) {
    tile **const tiles = realloc(a->tiles, (a->tile_count + TILE_ROOM) * sizeof(tile *));
    if (tiles != NULL) a->tiles = tiles;
    else {
      free(made);
      napi_throw_error(env, "KERNEL_MEMORY", "out of memory");
      return NULL;
    }
  }
  if (made == NULL) {
    napi_throw_error(env, "KERNEL_MEMORY", "out of memory");
    return NULL;
  }
  made->kind = kind;
  words w = {.arena = a, .next = values, .end = (const double *)values + length};
  read_tile(&w, made, caches);
  if (w.failed || w.next != w.end) {
    free(made);
    napi_throw_range_error(env, "KERNEL_ARGUMENT", "a tile has too few or too many words, or an address in no segment");
    return NULL;
  }
  a->tiles[a->tile_count] = made;
  napi_create_uint32(env, a->tile_count++, &result);
  return result;
}
static napi_value method_prepareFeedForward(napi_env env, napi_callback_info info) { return prepare(env, info, FEED_FORWARD); }
static napi_value method_prepareKeyValue(napi_env env, napi_callback_info info) { return prepare(env, info, KEY_VALUE); }
static napi_value method_prepareAttention(napi_env env, napi_callback_info info) { return prepare(env, info, ATTENTION); }

// The tile that argument 0 is the number of.
static const tile *tile_of(call *c, enum tile_kind kind) {
  const double number = c->value[0];
  if (number >= 0 && number < c->arena->tile_count && c->arena->tiles[(uint32_t)number]->kind == kind) {
    return c->arena->tiles[(uint32_t)number];
  }
  c->failed = 1;
  return NULL;
}

METHOD(feedForward, 4, {
  const tile *t = tile_of(&c, FEED_FORWARD);
  RESOLVED;
  return finish_boolean(&c, k->feed_forward(&t->feed_forward, N(1), N(2), N(3)));
})
METHOD(expert, 7, {
  const tile *t = tile_of(&c, FEED_FORWARD);
  const uint32_t *list = P(3);
  const float *weights = P(4);
  if (t != NULL && t->feed_forward.gathered == NULL) c.failed = 1;
  RESOLVED;
  return finish_boolean(&c, k->expert(&t->feed_forward, N(1), N(2), list, weights, N(5), N(6)));
})
METHOD(keyValue, 3, {
  const tile *t = tile_of(&c, KEY_VALUE);
  RESOLVED;
  k->key_value(&t->key_value, N(1), N(2));
  return finish(&c);
})
METHOD(queries, 3, {
  const tile *t = tile_of(&c, ATTENTION);
  RESOLVED;
  k->queries_of(&t->attention, N(1), N(2));
  return finish(&c);
})
METHOD(attention, 4, {
  const tile *t = tile_of(&c, ATTENTION);
  RESOLVED;
  return finish_boolean(&c, k->attention(&t->attention, N(1), N(2), N(3)));
})
