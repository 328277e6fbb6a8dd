{
  # No -march=native: each instruction set is its own library, and the addon chooses at run time.
  'target_defaults': {
    'defines': ['NAPI_VERSION=8'],
    # What is vectorised is so in the source. GCC's vectoriser forms fused multiply-adds for patterns such as a rotation even
    # when contraction is off, which would change bits.
    'cflags': ['-O3', '-ffp-contract=off', '-fno-tree-vectorize', '-fno-math-errno', '-fvisibility=hidden', '-Wall', '-Wextra', '-Wno-psabi'],
    'cflags!': ['-O2', '-fno-omit-frame-pointer'],
    'xcode_settings': {
      'GCC_OPTIMIZATION_LEVEL': '3',
      'OTHER_CFLAGS': ['-ffp-contract=off', '-fno-vectorize', '-fno-slp-vectorize', '-fno-math-errno', '-Wno-psabi'],
    },
  },
  'targets': [
    {
      'target_name': 'kernels_base',
      'type': 'static_library',
      'sources': ['../c/kernels.c'],
      'defines': ['STARLING_TABLE=starling_kernels_base'],
    },
    {
      'target_name': 'starling',
      'sources': ['addon.c'],
      'dependencies': ['kernels_base'],
      'conditions': [
        ['target_arch=="x64"', {'dependencies': ['kernels_avx2', 'kernels_avx512vnni']}],
        ['target_arch=="arm64"', {'dependencies': ['kernels_dotprod']}],
      ],
    },
  ],
  'conditions': [
    ['target_arch=="x64"', {
      'targets': [
        {
          'target_name': 'kernels_avx2',
          'type': 'static_library',
          'sources': ['../c/kernels.c'],
          'defines': ['STARLING_TABLE=starling_kernels_avx2'],
          'cflags': ['-mavx2', '-mf16c'],
          'xcode_settings': {'OTHER_CFLAGS': ['-mavx2', '-mf16c']},
        },
        {
          'target_name': 'kernels_avx512vnni',
          'type': 'static_library',
          'sources': ['../c/kernels.c', '../c/matmul-wide.c'],
          'defines': ['STARLING_TABLE=starling_kernels_avx512vnni', 'STARLING_WIDE'],
          'cflags': ['-mavx2', '-mf16c', '-mavx512f', '-mavx512bw', '-mavx512vl', '-mavx512dq', '-mavx512vnni', '-mprefer-vector-width=256'],
          'xcode_settings': {'OTHER_CFLAGS': ['-mavx2', '-mf16c', '-mavx512f', '-mavx512bw', '-mavx512vl', '-mavx512dq', '-mavx512vnni']},
        },
      ],
    }],
    ['target_arch=="arm64"', {
      'targets': [
        {
          'target_name': 'kernels_dotprod',
          'type': 'static_library',
          'sources': ['../c/kernels.c'],
          'defines': ['STARLING_TABLE=starling_kernels_dotprod'],
          'cflags': ['-march=armv8.2-a+dotprod'],
          'xcode_settings': {'OTHER_CFLAGS': ['-march=armv8.2-a+dotprod']},
        },
      ],
    }],
  ],
}
