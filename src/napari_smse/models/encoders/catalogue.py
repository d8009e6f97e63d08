"""The encoders that are known, in order of size within a family.

Constructions, normalisation and licences are those that TRIDENT, slide2vec, LazySlide and the
models' own pages state (read on 29 November 2026), but for what a record names as assumed. None was
tried with its real weights. A model is added by one record here.
"""

from __future__ import annotations

import difflib
from typing import Any, Final

from napari_smse.errors import UnknownEncoderError
from napari_smse.models.encoders import timm_networks
from napari_smse.models.encoders.encoder import (
    HALF,
    Architecture,
    Encoder,
    Gate,
    Normalisation,
    Pooling,
)

_ANY_SCALE: Final = (0.25, 2.0)
_OPTIMUS: Final[Normalisation] = ((0.707223, 0.578729, 0.703617), (0.211883, 0.230117, 0.177517))
_HIBOU: Final[Normalisation] = ((0.7068, 0.5755, 0.722), (0.195, 0.2316, 0.1816))
_LUNIT: Final[Normalisation] = (
    (0.70322989, 0.53606487, 0.66096631),
    (0.21716536, 0.26081574, 0.20723464),
)
_NON_COMMERCIAL: Final = "CC BY-NC-ND 4.0"
_OWKIN: Final = "Owkin non-commercial"
_KAIKO_CITATION: Final = "kaiko.ai et al., arXiv 2404.15217"
_LUNIT_CITATION: Final = "Kang et al., CVPR 2023"
_SWIGLU: Final = {"mlp_layer": "SwiGLUPacked", "act_layer": "SiLU"}


def _timm(name: str, **arguments: Any) -> Architecture:
    return Architecture("timm", name, {"num_classes": 0, **arguments})


def _transformers(name: str, **arguments: Any) -> Architecture:
    return Architecture("transformers", name, arguments)


def _kaiko(short: str, network: str, features: int, parameters: float, **more: Any) -> Encoder:
    return Encoder(
        name=f"kaiko-vit{short}",
        aliases=(f"kaiko-{short}", f"kaiko_vit{short}", f"kaiko-vit-{short}"),
        repository=f"1aurent/{network}.kaiko_ai_towards_large_pathology_fms",
        architecture=_timm(network, dynamic_img_size=True, **more),
        pooling=Pooling.CLASS_TOKEN,
        features=features,
        parameters=parameters,
        licence="MIT",
        commercial=True,
        gate=Gate.OPEN,
        citation=_KAIKO_CITATION,
        normalisation=HALF,
        mpp_range=_ANY_SCALE,
    )


def _lunit(short: str, network: str, parameters: float, *aliases: str) -> Encoder:
    return Encoder(
        name=f"lunit-vit{short}",
        aliases=(f"lunit-dino-{short}", *aliases),
        repository=f"1aurent/{network}.lunit_dino",
        architecture=_timm(network, dynamic_img_size=True),
        pooling=Pooling.CLASS_TOKEN,
        features=384,
        parameters=parameters,
        licence="Lunit non-commercial",
        commercial=False,
        gate=Gate.OPEN,
        citation=_LUNIT_CITATION,
        normalisation=_LUNIT,
        assumed="normalisation",
    )


def _lunit_resnet(training: str) -> Encoder:
    return Encoder(
        name=f"lunit-{training}",
        aliases=(f"lunit-resnet50-{training}", f"resnet50.lunit_{training}"),
        repository=f"1aurent/resnet50.lunit_{training}",
        architecture=_timm("resnet50"),
        pooling=Pooling.OWN,
        features=2048,
        parameters=23.5,
        licence="Lunit non-commercial",
        commercial=False,
        gate=Gate.OPEN,
        citation=_LUNIT_CITATION,
        normalisation=_LUNIT,
        assumed="normalisation",
    )


def _optimus(number: int, licence: str, gate: Gate, *, commercial: bool) -> Encoder:
    return Encoder(
        name=f"h-optimus-{number}",
        aliases=(f"hoptimus{number}", f"H-optimus-{number}"),
        repository=f"bioptimus/H-optimus-{number}",
        architecture=_timm(
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
        normalisation=_OPTIMUS,
    )


def _virchow(name: str, licence: str, *, commercial: bool, **more: Any) -> Encoder:
    return Encoder(
        name=name,
        aliases=(name.capitalize(),),
        repository=f"paige-ai/{name.capitalize()}",
        architecture=_timm(
            "vit_huge_patch14_224",
            init_values=1e-5,
            mlp_ratio=5.3375,
            global_pool="",
            dynamic_img_size=True,
            **_SWIGLU,
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
        mpp_range=(0.5, 0.5) if name == "virchow" else _ANY_SCALE,
    )


ENCODERS: Final[tuple[Encoder, ...]] = (
    _kaiko("s16", "vit_small_patch16_224", 384, 21.7),
    _kaiko("s8", "vit_small_patch8_224", 384, 21.7),
    _kaiko("b16", "vit_base_patch16_224", 768, 85.8),
    _kaiko("b8", "vit_base_patch8_224", 768, 85.8),
    _kaiko("l14", "vit_large_patch14_reg4_dinov2", 1024, 304.4, img_size=518, init_values=1e-5),
    _lunit("s16", "vit_small_patch16_224", 21.7),
    _lunit("s8", "vit_small_patch8_224", 21.7, "lunit-vits8", "lunit"),
    _lunit_resnet("bt"),
    _lunit_resnet("mocov2"),
    _lunit_resnet("swav"),
    _optimus(0, "Apache 2.0", Gate.UNKNOWN, commercial=True),
    _optimus(1, _NON_COMMERCIAL, Gate.ASK, commercial=False),
    Encoder(
        name="h0-mini",
        aliases=("H0-mini", "h0_mini"),
        repository="bioptimus/H0-mini",
        architecture=_timm(
            "vit_base_patch14_reg4_dinov2",
            img_size=224,
            init_values=1e-5,
            mlp_ratio=5.33334,
            global_pool="",
            dynamic_img_size=True,
            **_SWIGLU,
        ),
        pooling=Pooling.CLASS_TOKEN,
        features=768,
        parameters=85.7,
        licence=_NON_COMMERCIAL,
        commercial=False,
        gate=Gate.ASK,
        citation="Filiot et al., arXiv 2501.16239",
        normalisation=_OPTIMUS,
        assumed="mlp_ratio, so that the number of weights is that published",
    ),
    Encoder(
        name="uni",
        aliases=("UNI", "uni_v1", "uni-v1"),
        repository="MahmoodLab/UNI",
        architecture=_timm(
            "vit_large_patch16_224",
            img_size=224,
            patch_size=16,
            init_values=1e-5,
            dynamic_img_size=True,
        ),
        pooling=Pooling.CLASS_TOKEN,
        features=1024,
        parameters=303.4,
        licence=_NON_COMMERCIAL,
        commercial=False,
        gate=Gate.ASK,
        citation="Chen et al., Nature Medicine 2024",
        checkpoint="pytorch_model.bin",
    ),
    Encoder(
        name="uni2-h",
        aliases=("UNI2-h", "UNI2", "uni2", "uni_v2", "uni-v2"),
        repository="MahmoodLab/UNI2-h",
        architecture=_timm(
            "vit_giant_patch14_224",
            img_size=224,
            patch_size=14,
            depth=24,
            num_heads=24,
            init_values=1e-5,
            embed_dim=1536,
            mlp_ratio=2.66667 * 2,
            no_embed_class=True,
            reg_tokens=8,
            dynamic_img_size=True,
            **_SWIGLU,
        ),
        pooling=Pooling.CLASS_TOKEN,
        features=1536,
        parameters=681.4,
        licence=_NON_COMMERCIAL,
        commercial=False,
        gate=Gate.ASK,
        citation="Chen et al., Nature Medicine 2024",
        checkpoint="pytorch_model.bin",
    ),
    _virchow("virchow", "Apache 2.0", commercial=True),
    _virchow("virchow2", _NON_COMMERCIAL, commercial=False, reg_tokens=4),
    Encoder(
        name="prov-gigapath",
        aliases=("gigapath", "prov_gigapath"),
        repository="prov-gigapath/prov-gigapath",
        architecture=_timm(
            "vit_giant_patch14_dinov2",
            img_size=224,
            patch_size=16,
            embed_dim=1536,
            depth=40,
            num_heads=24,
            mlp_ratio=5.33334,
            init_values=1e-5,
            dynamic_img_size=True,
        ),
        pooling=Pooling.CLASS_TOKEN,
        features=1536,
        parameters=1135.0,
        licence="Apache 2.0 with conditions",
        commercial=False,
        gate=Gate.ASK,
        citation="Xu et al., Nature 2024",
        checkpoint="pytorch_model.bin",
        note="Its authors enlarge tiles to 256 px and cut 224 px from the middle.",
    ),
    Encoder(
        name="phikon",
        aliases=("Phikon",),
        repository="owkin/phikon",
        architecture=_transformers("ViTModel"),
        pooling=Pooling.CLASS_TOKEN,
        features=768,
        parameters=85.8,
        licence=_OWKIN,
        commercial=False,
        gate=Gate.OPEN,
        citation="Filiot et al., medRxiv 2023.07.21.23292757",
    ),
    Encoder(
        name="phikon-v2",
        aliases=("phikonv2", "phikon_v2"),
        repository="owkin/phikon-v2",
        architecture=_transformers(
            "Dinov2Model",
            hidden_size=1024,
            num_hidden_layers=24,
            num_attention_heads=16,
            patch_size=16,
        ),
        pooling=Pooling.CLASS_TOKEN,
        features=1024,
        parameters=303.4,
        licence=_OWKIN,
        commercial=False,
        gate=Gate.OPEN,
        citation="Filiot et al., arXiv 2409.09173",
        assumed="configuration; patches of 16 px by the operations that are published",
    ),
    Encoder(
        name="midnight",
        aliases=("midnight12k", "midnight-12k"),
        repository="kaiko-ai/midnight",
        architecture=_transformers(
            "Dinov2Model",
            hidden_size=1536,
            num_hidden_layers=40,
            num_attention_heads=24,
            use_swiglu_ffn=True,
            patch_size=14,
        ),
        pooling=Pooling.CLASS_TOKEN_AND_MEAN,
        features=3072,
        parameters=1134.8,
        licence="MIT",
        commercial=True,
        gate=Gate.UNKNOWN,
        citation="Karasikov et al., arXiv 2504.05186",
        assumed="configuration of a DINOv2 ViT-g/14",
        normalisation=HALF,
        mpp_range=_ANY_SCALE,
    ),
    Encoder(
        name="hibou-b",
        aliases=("hibou_b", "Hibou-B"),
        repository="histai/hibou-b",
        architecture=_transformers(
            "Dinov2WithRegistersModel", num_register_tokens=4, patch_size=14
        ),
        pooling=Pooling.CLASS_TOKEN,
        features=768,
        parameters=85.7,
        licence="Apache 2.0",
        commercial=True,
        gate=Gate.ASK,
        citation="Nechaev et al., arXiv 2406.05074",
        normalisation=_HIBOU,
        assumed="configuration, as its own is code that is not run here",
    ),
    Encoder(
        name="hibou-l",
        aliases=("hibou_l", "Hibou-L"),
        repository="histai/hibou-L",
        architecture=_transformers(
            "Dinov2WithRegistersModel",
            hidden_size=1024,
            num_hidden_layers=24,
            num_attention_heads=16,
            num_register_tokens=4,
            patch_size=14,
        ),
        pooling=Pooling.CLASS_TOKEN,
        features=1024,
        parameters=303.2,
        licence="Apache 2.0",
        commercial=True,
        gate=Gate.ASK,
        citation="Nechaev et al., arXiv 2406.05074",
        normalisation=_HIBOU,
        assumed="configuration, as its own is code that is not run here",
    ),
    Encoder(
        name="gpfm",
        aliases=("GPFM",),
        repository="majiabo/GPFM",
        architecture=_timm(
            "vit_large_patch14_dinov2", img_size=224, init_values=1e-5, dynamic_img_size=True
        ),
        pooling=Pooling.CLASS_TOKEN,
        features=1024,
        parameters=303.2,
        licence=_NON_COMMERCIAL,
        commercial=False,
        gate=Gate.OPEN,
        citation="Ma et al., arXiv 2407.18449",
        checkpoint="GPFM.pth",
    ),
    Encoder(
        name="dinov2-vitb14",
        aliases=("dinov2-b14", "vit_base_patch14_dinov2.lvd142m"),
        repository="timm/vit_base_patch14_dinov2.lvd142m",
        architecture=_timm("vit_base_patch14_dinov2", img_size=224),
        pooling=Pooling.CLASS_TOKEN,
        features=768,
        parameters=85.7,
        licence="Apache 2.0",
        commercial=True,
        gate=Gate.OPEN,
        citation="Oquab et al., arXiv 2304.07193",
        note="Learnt from photographs: a control.",
    ),
)


def find_encoder(name: str) -> Encoder:
    """Return the encoder of a name, in any spelling of any tool; ``timm/NAME`` for one of timm.

    Raises
    ------
    UnknownEncoderError
        None is called so; the message lists close names.
    """
    wanted = _plain(name)
    for encoder in ENCODERS:
        if wanted in {_plain(spelling) for spelling in encoder.spellings}:
            return encoder
    if wanted.startswith(timm_networks.PREFIX):
        return timm_networks.timm_encoder(name.strip()[len(timm_networks.PREFIX) :])
    close = difflib.get_close_matches(
        wanted, [_plain(encoder.name) for encoder in ENCODERS], n=4, cutoff=0.5
    )
    by_plain = {_plain(encoder.name): encoder.name for encoder in ENCODERS}
    hint = (
        f"did you mean {', '.join(by_plain[one] for one in close)}?"
        if close
        else "`napari-smse models list` names those that there are."
    )
    raise UnknownEncoderError(f"No encoder is called {name!r}: {hint}")


def _plain(name: str) -> str:
    return name.casefold().replace("_", "-").removeprefix("hf-hub:").removeprefix("hf_hub:")
