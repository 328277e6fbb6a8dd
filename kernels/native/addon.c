// N-API face of the kernels: open(segments) gives an object whose methods take addresses in those segments.
#if defined(__linux__)
// For RTLD_DEFAULT.
#define _GNU_SOURCE
#include <sys/mman.h>
#endif
#if defined(__linux__) || defined(__APPLE__)
#include <fcntl.h>
#endif

#include "call.h"
#include "channel-addon.h"
#include "tiles.h"

extern const starling_kernels starling_kernels_base;
static int always(void) { return 1; }

#if defined(__x86_64__)
#include <cpuid.h>
extern const starling_kernels starling_kernels_avx2, starling_kernels_avx512vnni;

static int has_avx2(void) {
  unsigned eax, ebx, ecx, edx;
  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & bit_F16C)) return 0;
  return __builtin_cpu_supports("avx2") != 0;
}

static int has_avx512vnni(void) {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni");
}
#elif defined(__aarch64__)
extern const starling_kernels starling_kernels_dotprod;
#if defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
static int has_dotprod(void) { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }
#else
// Every Apple processor that runs Node on arm64 has it.
static int has_dotprod(void) { return 1; }
#endif
#endif

// Builds of the kernels, best first.
static const struct {
  const char *name;
  const starling_kernels *kernels;
  int (*supported)(void);
} TARGETS[] = {
#if defined(__x86_64__)
    {"avx512vnni", &starling_kernels_avx512vnni, has_avx512vnni},
    {"avx2", &starling_kernels_avx2, has_avx2},
#elif defined(__aarch64__)
    {"dotprod", &starling_kernels_dotprod, has_dotprod},
#endif
    {"baseline", &starling_kernels_base, always},
};
#define TARGET_COUNT (sizeof(TARGETS) / sizeof(TARGETS[0]))

// The named target where this machine has it, the best one for an empty name.
static const starling_kernels *find_kernels(const char *name) {
  for (size_t i = 0; i < TARGET_COUNT; i++) {
    if (TARGETS[i].supported() && (name[0] == 0 || strcmp(TARGETS[i].name, name) == 0)) return TARGETS[i].kernels;
  }
  return NULL;
}

METHOD(matmul, 8, {
  const uint8_t *w = P(1), *panel = P(4);
  uint8_t *out = P(6);
  RESOLVED;
  k->matmul(N(0), w, N(2), N(3), panel, N(5), out, N(7));
  return finish(&c);
})
METHOD(matmulSums, 11, {
  const uint8_t *w = P(1), *panel = P(4);
  uint8_t *sums = P(6);
  const uint32_t *list = P_OR_NULL(10);
  RESOLVED;
  return finish_boolean(&c, k->matmul_sums(N(0), w, N(2), N(3), panel, N(5), sums, N(7), c.value[8], N(9), list));
})
METHOD(packPanel, 6, {
  const uint8_t *x = P(1);
  uint8_t *out = P(5);
  RESOLVED;
  k->pack_panel(N(0), x, N(2), N(3), N(4), out);
  return finish(&c);
})
METHOD(gatherPanel, 7, {
  const uint8_t *panel = P(1);
  const uint32_t *list = P(4);
  uint8_t *out = P(6);
  RESOLVED;
  k->gather_panel(N(0), panel, N(2), N(3), list, N(5), out);
  return finish(&c);
})
METHOD(quantizePanel, 5, {
  const uint8_t *x = P(0);
  uint8_t *out = P(4);
  RESOLVED;
  return finish_boolean(&c, k->quantize_panel(x, N(1), N(2), N(3), out));
})
METHOD(quantize, 6, {
  const uint8_t *x = P(0);
  uint8_t *out = P(4);
  RESOLVED;
  return finish_boolean(&c, k->quantize(x, N(1), N(2), N(3), out, N(5)));
})
METHOD(rmsnorm, 9, {
  const uint8_t *x = P(0);
  const float *weight = P(2);
  uint8_t *out = P(7);
  RESOLVED;
  k->rmsnorm(x, N(1), weight, N(3), N(4), N(5), (float)c.value[6], out, N(8));
  return finish(&c);
})
METHOD(rope, 4, {
  float *x = P(0);
  const float *table = P(3);
  RESOLVED;
  k->rope(x, N(1), N(2), table);
  return finish(&c);
})
METHOD(glu, 4, {
  float *gate = P(1);
  const float *up = P(2);
  RESOLVED;
  k->glu(N(0), gate, up, N(3));
  return finish(&c);
})
METHOD(kvStore, 6, {
  const float *key = P(1), *value = P(2);
  uint8_t *page = P(4);
  RESOLVED;
  k->kv_store(N(0), key, value, N(3), page, N(5));
  return finish(&c);
})
METHOD(attend, 15, {
  const uint8_t *q = P(1);
  uint8_t *kv = P(7), *out = P(10);
  const uint32_t *pages = P(8);
  const float *sinks = P_OR_NULL(14);
  RESOLVED;
  k->attend(N(0), q, N(2), N(3), N(4), N(5), (float)c.value[6], kv, pages, N(9), out, N(11), N(12), (float)c.value[13], sinks);
  return finish(&c);
})
METHOD(addScaled, 4, {
  float *x = P(0);
  const float *y = P(1);
  RESOLVED;
  k->add_scaled(x, y, (float)c.value[2], N(3));
  return finish(&c);
})
METHOD(scaleRows, 5, {
  uint8_t *x = P(0);
  const float *factors = P(2);
  RESOLVED;
  k->scale_rows(x, N(1), factors, N(3), N(4));
  return finish(&c);
})
METHOD(applyNorm, 4, {
  float *x = P(0);
  const float *weight = P(1), *factor = P(2);
  RESOLVED;
  k->apply_norm(x, weight, factor, N(3));
  return finish(&c);
})
METHOD(addSums, 3, {
  double *dst = P(0);
  const double *src = P(1);
  RESOLVED;
  k->add_sums(dst, src, N(2));
  return finish(&c);
})
METHOD(fromSums, 3, {
  const double *sums = P(0);
  float *out = P(2);
  RESOLVED;
  k->from_sums(sums, N(1), out);
  return finish(&c);
})
METHOD(residual, 3, {
  float *x = P(0);
  const double *sums = P(1);
  RESOLVED;
  k->residual(x, sums, N(2));
  return finish(&c);
})
METHOD(packSums, 3, {
  const double *sums = P(0);
  uint8_t *out = P(2);
  RESOLVED;
  return finish_number(&c, k->pack_sums(sums, N(1), out));
})
METHOD(unpackSums, 4, {
  const uint8_t *packed = P(0);
  double *sums = P(3);
  RESOLVED;
  return finish_boolean(&c, k->unpack_sums(packed, N(1), N(2), sums));
})
METHOD(repack, 8, {
  const uint8_t *source = P(1);
  uint8_t *out = P(5);
  RESOLVED;
  return finish_boolean(&c, k->repack(N(0), source, N(2), N(3), N(4), out, N(6), N(7)));
})

static const struct {
  const char *name;
  napi_callback method;
} METHODS[] = {
    {"matmul", method_matmul},         {"matmulSums", method_matmulSums},
    {"packPanel", method_packPanel},   {"quantizePanel", method_quantizePanel},
    {"quantize", method_quantize},     {"rmsnorm", method_rmsnorm},
    {"rope", method_rope},             {"glu", method_glu},
    {"kvStore", method_kvStore},       {"attend", method_attend},
    {"addScaled", method_addScaled},   {"addSums", method_addSums},
    {"fromSums", method_fromSums},     {"residual", method_residual},
    {"packSums", method_packSums},     {"unpackSums", method_unpackSums},
    {"repack", method_repack},
    {"prepareFeedForward", method_prepareFeedForward},
    {"prepareKeyValue", method_prepareKeyValue}, {"prepareAttention", method_prepareAttention},
    {"gatherPanel", method_gatherPanel}, {"scaleRows", method_scaleRows},
    {"applyNorm", method_applyNorm},   {"expert", method_expert},
    {"feedForward", method_feedForward}, {"keyValue", method_keyValue},
    {"queries", method_queries},       {"attention", method_attention},
};

static void release(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  arena *const a = data;
  for (uint32_t i = 0; i < a->tile_count; i++) free(a->tiles[i]);
  free(a->tiles);
  free(a);
}

// open(segments: Uint8Array[], target?: string): the object keeps the segments alive; keep the object for as long as its methods.
static napi_value open_arena(napi_env env, napi_callback_info info) {
  napi_value argument[2], object;
  size_t count = 2;
  uint32_t segments = 0;
  napi_get_cb_info(env, info, &count, argument, NULL, NULL);
  if (napi_get_array_length(env, argument[0], &segments) != napi_ok || segments == 0) {
    napi_throw_type_error(env, "KERNEL_ARGUMENT", "open takes a non-empty array of Uint8Array");
    return NULL;
  }
  arena *a = malloc(sizeof(arena) + segments * sizeof(uint8_t *));
  if (a == NULL) {
    napi_throw_error(env, "KERNEL_MEMORY", "out of memory");
    return NULL;
  }
  char target[16] = "";
  if (count > 1) napi_get_value_string_utf8(env, argument[1], target, sizeof(target), NULL);
  a->segments = segments;
  a->tiles = NULL;
  a->tile_count = 0;
  a->kernels = find_kernels(target);
  if (a->kernels == NULL) {
    free(a);
    napi_throw_type_error(env, "KERNEL_ARGUMENT", "this machine has no such target");
    return NULL;
  }
  for (uint32_t i = 0; i < segments; i++) {
    napi_value view;
    void *data = NULL;
    napi_typedarray_type type;
    if (napi_get_element(env, argument[0], i, &view) != napi_ok ||
        napi_get_typedarray_info(env, view, &type, NULL, &data, NULL, NULL) != napi_ok || type != napi_uint8_array) {
      free(a);
      napi_throw_type_error(env, "KERNEL_ARGUMENT", "open takes a non-empty array of Uint8Array");
      return NULL;
    }
    a->base[i] = data;
  }
  napi_create_object(env, &object);
  napi_wrap(env, object, a, release, NULL, NULL);
  napi_set_named_property(env, object, "segments", argument[0]);
  for (size_t i = 0; i < sizeof(METHODS) / sizeof(METHODS[0]); i++) {
    napi_value method;
    napi_create_function(env, METHODS[i].name, NAPI_AUTO_LENGTH, METHODS[i].method, a, &method);
    napi_set_named_property(env, object, METHODS[i].name, method);
  }
  return object;
}

// useHugePages(segment: Uint8Array): asks for huge pages behind the segment, which nobody has touched yet. Weights are read
// in order, and each page of 4 KiB would be one more translation. A wish: where it is not granted nothing changes.
static napi_value use_huge_pages(napi_env env, napi_callback_info info) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  const uintptr_t huge = (uintptr_t)2 << 20;
  napi_value argument[1];
  size_t count = 1, length = 0;
  void *data = NULL;
  napi_typedarray_type type;
  napi_get_cb_info(env, info, &count, argument, NULL, NULL);
  if (napi_get_typedarray_info(env, argument[0], &type, &length, &data, NULL, NULL) != napi_ok) {
    napi_throw_type_error(env, "KERNEL_ARGUMENT", "useHugePages takes a Uint8Array");
    return NULL;
  }
  const uintptr_t from = ((uintptr_t)data + huge - 1) & ~(huge - 1), to = ((uintptr_t)data + length) & ~(huge - 1);
  if (to > from) madvise((void *)from, to - from, MADV_HUGEPAGE);
#else
  (void)env;
  (void)info;
#endif
  return NULL;
}

// uncached(descriptor: number): keeps what is read of a file out of the system's cache. macOS takes it as a wish for the reads to
// come, Linux drops what has been read so far: so ask before and after.
static napi_value uncached(napi_env env, napi_callback_info info) {
  napi_value argument[1];
  size_t count = 1;
  int32_t descriptor = -1;
  napi_get_cb_info(env, info, &count, argument, NULL, NULL);
  if (count < 1 || napi_get_value_int32(env, argument[0], &descriptor) != napi_ok) {
    napi_throw_type_error(env, "KERNEL_ARGUMENT", "uncached takes a file descriptor");
    return NULL;
  }
#if defined(__APPLE__)
  fcntl(descriptor, F_NOCACHE, 1);
#elif defined(__linux__)
  posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
#endif
  return NULL;
}

NAPI_MODULE_INIT() {
  napi_value function, targets;
  uint32_t supported = 0;
  napi_create_function(env, "open", NAPI_AUTO_LENGTH, open_arena, NULL, &function);
  napi_set_named_property(env, exports, "open", function);
  napi_create_function(env, "useHugePages", NAPI_AUTO_LENGTH, use_huge_pages, NULL, &function);
  napi_set_named_property(env, exports, "useHugePages", function);
  napi_create_function(env, "uncached", NAPI_AUTO_LENGTH, uncached, NULL, &function);
  napi_set_named_property(env, exports, "uncached", function);
  export_channel(env, exports);
  napi_create_array(env, &targets);
  for (size_t i = 0; i < TARGET_COUNT; i++) {
    if (!TARGETS[i].supported()) continue;
    napi_value name;
    napi_create_string_utf8(env, TARGETS[i].name, NAPI_AUTO_LENGTH, &name);
    napi_set_element(env, targets, supported++, name);
  }
  napi_set_named_property(env, exports, "targets", targets);
  return exports;
}
