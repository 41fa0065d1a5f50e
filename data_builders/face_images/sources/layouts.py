"""The layouts of a source of face images; each is one builder config."""

from abaw_jax.data_builders.face_images.sources import (
    archives,
    entries,
    lists,
    ms_celeb,
    recordio,
    trees,
)

LAYOUTS = {
    'folders': entries.Layout(
        'Images in folders, nested at any depth.', trees.folders
    ),
    'list': entries.Layout(
        'Images named by list.txt, one path per line.', lists.listed
    ),
    'tar': entries.Layout(
        'Images in tar archives, plain or compressed.', archives.tar
    ),
    'recordio': entries.Layout(
        'InsightFace packs: train.rec and train.idx.',
        recordio.insightface,
        identities=True,
    ),
    'celeba': entries.Layout(
        'CelebA: img_align_celeba and list_eval_partition.txt.', lists.celeba
    ),
    'c_ms_celeb': entries.Layout(
        'C-MS-Celeb: its two lists of the images of MS-Celeb-1M.',
        ms_celeb.c_ms_celeb,
        identities=True,
    ),
    'emotionet': entries.Layout(
        'EmotioNet: N_<digits>_<digits>.jpg and optional CSV lists.',
        lists.emotionet,
    ),
    'vggface2': entries.Layout(
        'VGGFace2: train and test folders of identities.',
        trees.vggface2,
        identities=True,
    ),
}


# Layouts whose groups are people. In `folders`, each folder counts as a person.
OF_PEOPLE = {
    'folders': LAYOUTS['folders']._replace(
        description='A folder of images for each person.', identities=True
    )
} | {name: layout for name, layout in LAYOUTS.items() if layout.identities}
