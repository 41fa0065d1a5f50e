"""Places `configs` and `data_builders` inside the installed package.

A checkout has them at the top level, where they are easy to find. An installed
top-level package with such a name would collide with other projects.
"""

import setuptools

INSIDE = ('configs', 'data_builders')

setuptools.setup(
    packages=[
        *setuptools.find_packages(include=['abaw_jax*']),
        *(
            f'abaw_jax.{name}'
            for name in setuptools.find_packages(
                include=[f'{folder}*' for folder in INSIDE]
            )
        ),
    ],
    package_dir={f'abaw_jax.{folder}': folder for folder in INSIDE},
)
