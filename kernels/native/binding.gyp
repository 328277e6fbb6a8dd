{
  # No -march=native: each instruction set is its own library, and the addon chooses at run time.
  'target_defaults': {
    'defines': ['NAPI_VERSION=8'],
    'cflags': ['-O3', '-ffp-contract=off', '-fno-math-errno', '-fvisibility=hidden', '-Wall', '-Wextra', '-Wno-psabi'],
    'cflags!': ['-O2', '-fno-omit-frame-pointer'],
    'xcode_settings': {
      'GCC_OPTIMIZATION_LEVEL': '3',
      'OTHER_CFLAGS': ['-ffp-contract=off', '-fno-math-errno', '-Wno-psabi'],
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
      'conditions': [['target_arch=="x64"', {'dependencies': ['kernels_avx2']}]],
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
      ],
    }],
  ],
}
