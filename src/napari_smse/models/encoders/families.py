"""What encoders of a family have in common: one function each, and facts that several share."""

from __future__ import annotations

from typing import Any, Final

from napari_smse.models.encoders.encoder import (
    HALF,
    REBUILT_HERE,
    Architecture,
    Encoder,
    Gate,
    Normalisation,
    Pooling,
)

ANY_SCALE: Final = (0.25, 2.0)
OPTIMUS: Final[Normalisation] = ((0.707223, 0.578729, 0.703617), (0.211883, 0.230117, 0.177517))
HIBOU: Final[Normalisation] = ((0.7068, 0.5755, 0.722), (0.195, 0.2316, 0.1816))
LUNIT: Final[Normalisation] = (
    (0.70322989, 0.53606487, 0.66096631),
    (0.21716536, 0.26081574, 0.20723464),
)
NON_COMMERCIAL: Final = "CC BY-NC-ND 4.0"
CLIP: Final[Normalisation] = (
    (0.48145466, 0.4578275, 0.40821073),
    (0.26862954, 0.26130258, 0.27577711),
)
OWKIN: Final = "Owkin non-commercial"
KAIKO_CITATION: Final = "kaiko.ai et al., arXiv 2404.15217"
LUNIT_CITATION: Final = "Kang et al., CVPR 2023"
SWIGLU: Final = {"mlp_layer": "SwiGLUPacked", "act_layer": "SiLU"}


def timm(name: str, **arguments: Any) -> Architecture:
    """Return a network as timm builds it."""
    return Architecture("timm", name, {"num_classes": 0, **arguments})


def transformers(name: str, **arguments: Any) -> Architecture:
    """Return a network as transformers builds it."""
    return Architecture("transformers", name, arguments)


def rebuilt(name: str) -> Architecture:
    """Return a network that is rebuilt here, as no library has it."""
    return Architecture(REBUILT_HERE, name)


def kaiko(short: str, network: str, features: int, parameters: float, **more: Any) -> Encoder:
    """Return one of Kaiko's vision transformers."""
    return Encoder(
        name=f"kaiko-vit{short}",
        aliases=(f"kaiko-{short}", f"kaiko_vit{short}", f"kaiko-vit-{short}"),
        repository=f"1aurent/{network}.kaiko_ai_towards_large_pathology_fms",
        architecture=timm(network, dynamic_img_size=True, **more),
        pooling=Pooling.CLASS_TOKEN,
        features=features,
        parameters=parameters,
        licence="MIT",
        commercial=True,
        gate=Gate.OPEN,
        citation=KAIKO_CITATION,
        normalisation=HALF,
        mpp_range=ANY_SCALE,
    )


def lunit(short: str, network: str, parameters: float, *aliases: str) -> Encoder:
    """Return one of Lunit's vision transformers, learnt by DINO."""
    return Encoder(
        name=f"lunit-vit{short}",
        aliases=(f"lunit-dino-{short}", *aliases),
        repository=f"1aurent/{network}.lunit_dino",
        architecture=timm(network, dynamic_img_size=True),
        pooling=Pooling.CLASS_TOKEN,
        features=384,
        parameters=parameters,
        licence="Lunit non-commercial",
        commercial=False,
        gate=Gate.OPEN,
        citation=LUNIT_CITATION,
        normalisation=LUNIT,
        assumed="normalisation",
    )


def lunit_resnet(training: str) -> Encoder:
    """Return one of Lunit's ResNet-50."""
    return Encoder(
        name=f"lunit-{training}",
        aliases=(f"lunit-resnet50-{training}", f"resnet50.lunit_{training}"),
        repository=f"1aurent/resnet50.lunit_{training}",
        architecture=timm("resnet50"),
        pooling=Pooling.OWN,
        features=2048,
        parameters=23.5,
        licence="Lunit non-commercial",
        commercial=False,
        gate=Gate.OPEN,
        citation=LUNIT_CITATION,
        normalisation=LUNIT,
        assumed="normalisation",
    )


def optimus(number: int, licence: str, gate: Gate, *, commercial: bool) -> Encoder:
    """Return H-optimus-0 or -1."""
    return Encoder(
        name=f"h-optimus-{number}",
        aliases=(f"hoptimus{number}", f"H-optimus-{number}"),
        repository=f"bioptimus/H-optimus-{number}",
        architecture=timm(
            "vit_giant_patch14_reg4_dinov2",
            img_size=224,
            global_pool="token",
            init_values=1e-5,
            dynamic_img_size=False,
        ),
        pooling=Pooling.CLASS_TOKEN,
        features=1536,
        parameters=1134.8,
        licence=licence,
        commercial=commercial,
        gate=gate,
        citation=f"Bioptimus, H-optimus-{number}",
        normalisation=OPTIMUS,
    )


def virchow(name: str, licence: str, *, commercial: bool, **more: Any) -> Encoder:
    """Return Virchow or Virchow2."""
    return Encoder(
        name=name,
        aliases=(name.capitalize(),),
        repository=f"paige-ai/{name.capitalize()}",
        architecture=timm(
            "vit_huge_patch14_224",
            init_values=1e-5,
            mlp_ratio=5.3375,
            global_pool="",
            dynamic_img_size=True,
            **SWIGLU,
            **more,
        ),
        pooling=Pooling.CLASS_TOKEN_AND_MEAN,
        features=2560,
        parameters=631.2,
        licence=licence,
        commercial=commercial,
        gate=Gate.ASK,
        citation="Vorontsov et al., Nature Medicine 2024"
        if name == "virchow"
        else "Zimmermann et al., arXiv 2408.00738",
        mpp_range=(0.5, 0.5) if name == "virchow" else ANY_SCALE,
    )
