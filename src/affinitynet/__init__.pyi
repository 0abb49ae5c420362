# The public names and their homes: add a line to make a name public. __init__.py imports each when it is first used.
from affinitynet.config.settings import PipelineConfig as PipelineConfig
from affinitynet.errors import InputError as InputError
from affinitynet.inference.tagged import MaskPredictor as MaskPredictor
from affinitynet.inference.untagged import SegmentationPredictor as SegmentationPredictor
from affinitynet.models.affinity_net import AffinityNet as AffinityNet
from affinitynet.models.classifier import TagClassifier as TagClassifier
from affinitynet.ops.affinity import affinity_labels as affinity_labels
from affinitynet.ops.affinity import affinity_loss as affinity_loss
from affinitynet.ops.cam import class_activation_maps as class_activation_maps
from affinitynet.ops.crf import dense_crf as dense_crf
from affinitynet.ops.metrics import confusion_matrix as confusion_matrix
from affinitynet.ops.metrics import mean_iou as mean_iou
from affinitynet.ops.seeds import confident_seeds as confident_seeds
from affinitynet.ops.walk import random_walk as random_walk
from affinitynet.pipeline.run import run_pipeline as run_pipeline

__version__: str
__all__: list[str]
