/*
 * Reads memory in order, by several threads at once, and prints the GB/s of each pass.
 *   memory-read THREADS BYTES_PER_THREAD PASSES
 */
#if defined(__linux__)
#define _DEFAULT_SOURCE
#include <sys/mman.h>
#endif
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef uint64_t vec __attribute__((vector_size(32)));

enum { UNROLL = 8, BLOCK = UNROLL * sizeof(vec), MOST_THREADS = 256, MOST_PASSES = 1000 };

static size_t bytes;
static int threads, passes;
static atomic_int arrived;
static double starts[MOST_THREADS][MOST_PASSES], ends[MOST_THREADS][MOST_PASSES];
static atomic_ullong total;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Returns when `wanted` arrivals have happened, over all threads and passes. */
static void arrive(int wanted) {
  atomic_fetch_add(&arrived, 1);
  while (atomic_load(&arrived) < wanted) sched_yield();
}

static vec read_all(const vec *data) {
  vec sums[UNROLL];
  memset(sums, 0, sizeof sums);
  for (size_t i = 0; i < bytes / sizeof(vec); i += UNROLL)
    for (int j = 0; j < UNROLL; j++) sums[j] += data[i + (size_t)j];
  for (int j = 1; j < UNROLL; j++) sums[0] += sums[j];
  return sums[0];
}

/* In huge pages where there are any, as weights are: with pages of 4 KiB translations are a part of the time. */
static vec *allocate(void) {
  const size_t huge = (size_t)2 << 20;
  void *data = aligned_alloc(huge, (bytes + huge - 1) / huge * huge);
#if defined(__linux__)
  if (data != NULL) madvise(data, bytes, MADV_HUGEPAGE);
#endif
  return data;
}

static void *run(void *argument) {
  const int thread = (int)(intptr_t)argument;
  vec *data = allocate();
  if (data == NULL) {
    fprintf(stderr, "memory-read: no memory for %zu bytes a thread\n", bytes);
    exit(1);
  }
  /* Each thread writes its own buffer first, so that the pages are real and near it. */
  memset(data, 1, bytes);
  vec sum = {0, 0, 0, 0};
  for (int pass = 0; pass < passes; pass++) {
    arrive(threads * (pass + 1));
    starts[thread][pass] = now();
    sum += read_all(data);
    ends[thread][pass] = now();
  }
  /* What was read has to count for something, or the compiler leaves the reading out. */
  atomic_fetch_add(&total, sum[0] + sum[1] + sum[2] + sum[3]);
  free(data);
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  threads = atoi(argv[1]);
  bytes = (size_t)strtoull(argv[2], NULL, 10) / 4096 * 4096;
  passes = atoi(argv[3]);
  if (threads < 1 || threads > MOST_THREADS || bytes < BLOCK || passes < 1 || passes > MOST_PASSES) return 2;
  pthread_t ids[MOST_THREADS];
  for (int i = 0; i < threads; i++)
    if (pthread_create(&ids[i], NULL, run, (void *)(intptr_t)i) != 0) return 1;
  for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
  for (int pass = 0; pass < passes; pass++) {
    double start = starts[0][pass], end = ends[0][pass];
    for (int i = 1; i < threads; i++) {
      if (starts[i][pass] < start) start = starts[i][pass];
      if (ends[i][pass] > end) end = ends[i][pass];
    }
    printf("%.3f\n", (double)bytes * threads / (end - start) / 1e9);
  }
  return atomic_load(&total) == 0;
}
