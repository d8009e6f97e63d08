"""The encoders that are known, in order of size within a family.

Constructions, normalisation and licences are those that TRIDENT, slide2vec, LazySlide and the
models' own pages state (read on 29 November 2026), but for what a record names as assumed. None was
tried with its real weights. A model is added by one record here.
"""

from __future__ import annotations

import difflib
from typing import Final

from napari_smse.errors import UnknownEncoderError
from napari_smse.models.encoders import timm_networks
from napari_smse.models.encoders.encoder import HALF, Encoder, Gate, Pooling
from napari_smse.models.encoders.families import (
    ANY_SCALE,
    CLIP,
    HIBOU,
    NON_COMMERCIAL,
    OPTIMUS,
    OWKIN,
    SWIGLU,
    kaiko,
    lunit,
    lunit_resnet,
    optimus,
    rebuilt,
    timm,
    transformers,
    virchow,
)

ENCODERS: Final[tuple[Encoder, ...]] = (
    kaiko("s16", "vit_small_patch16_224", 384, 21.7),
    kaiko("s8", "vit_small_patch8_224", 384, 21.7),
    kaiko("b16", "vit_base_patch16_224", 768, 85.8),
    kaiko("b8", "vit_base_patch8_224", 768, 85.8),
    kaiko("l14", "vit_large_patch14_reg4_dinov2", 1024, 304.4, img_size=518, init_values=1e-5),
    lunit("s16", "vit_small_patch16_224", 21.7),
    lunit("s8", "vit_small_patch8_224", 21.7, "lunit-vits8", "lunit"),
    lunit_resnet("bt"),
    lunit_resnet("mocov2"),
    lunit_resnet("swav"),
    optimus(0, "Apache 2.0", Gate.UNKNOWN, commercial=True),
    optimus(1, NON_COMMERCIAL, Gate.ASK, commercial=False),
    Encoder(
        name="h0-mini",
        aliases=("H0-mini", "h0_mini"),
        repository="bioptimus/H0-mini",
        architecture=timm(
            "vit_base_patch14_reg4_dinov2",
            img_size=224,
            init_values=1e-5,
            mlp_ratio=5.33334,
            global_pool="",
            dynamic_img_size=True,
            **SWIGLU,
        ),
        pooling=Pooling.CLASS_TOKEN,
        features=768,
        parameters=85.7,
        licence=NON_COMMERCIAL,
        commercial=False,
        gate=Gate.ASK,
        citation="Filiot et al., arXiv 2501.16239",
        normalisation=OPTIMUS,
        assumed="mlp_ratio, so that the number of weights is that published",
    ),
    Encoder(
        name="uni",
        aliases=("UNI", "uni_v1", "uni-v1"),
        repository="MahmoodLab/UNI",
        architecture=timm(
            "vit_large_patch16_224",
            img_size=224,
            patch_size=16,
            init_values=1e-5,
            dynamic_img_size=True,
        ),
        pooling=Pooling.CLASS_TOKEN,
        features=1024,
        parameters=303.4,
        licence=NON_COMMERCIAL,
        commercial=False,
        gate=Gate.ASK,
        citation="Chen et al., Nature Medicine 2024",
        checkpoint="pytorch_model.bin",
    ),
    Encoder(
        name="uni2-h",
        aliases=("UNI2-h", "UNI2", "uni2", "uni_v2", "uni-v2"),
        repository="MahmoodLab/UNI2-h",
        architecture=timm(
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
            **SWIGLU,
        ),
        pooling=Pooling.CLASS_TOKEN,
        features=1536,
        parameters=681.4,
        licence=NON_COMMERCIAL,
        commercial=False,
        gate=Gate.ASK,
        citation="Chen et al., Nature Medicine 2024",
        checkpoint="pytorch_model.bin",
    ),
    virchow("virchow", "Apache 2.0", commercial=True),
    virchow("virchow2", NON_COMMERCIAL, commercial=False, reg_tokens=4),
    Encoder(
        name="prov-gigapath",
        aliases=("gigapath", "prov_gigapath"),
        repository="prov-gigapath/prov-gigapath",
        architecture=timm(
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
        architecture=transformers("ViTModel"),
        pooling=Pooling.CLASS_TOKEN,
        features=768,
        parameters=85.8,
        licence=OWKIN,
        commercial=False,
        gate=Gate.OPEN,
        citation="Filiot et al., medRxiv 2023.07.21.23292757",
    ),
    Encoder(
        name="phikon-v2",
        aliases=("phikonv2", "phikon_v2"),
        repository="owkin/phikon-v2",
        architecture=transformers(
            "Dinov2Model",
            hidden_size=1024,
            num_hidden_layers=24,
            num_attention_heads=16,
            patch_size=16,
        ),
        pooling=Pooling.CLASS_TOKEN,
        features=1024,
        parameters=303.4,
        licence=OWKIN,
        commercial=False,
        gate=Gate.OPEN,
        citation="Filiot et al., arXiv 2409.09173",
        assumed="configuration; patches of 16 px by the operations that are published",
    ),
    Encoder(
        name="midnight",
        aliases=("midnight12k", "midnight-12k"),
        repository="kaiko-ai/midnight",
        architecture=transformers(
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
        mpp_range=ANY_SCALE,
    ),
    Encoder(
        name="hibou-b",
        aliases=("hibou_b", "Hibou-B"),
        repository="histai/hibou-b",
        architecture=transformers("Dinov2WithRegistersModel", num_register_tokens=4, patch_size=14),
        pooling=Pooling.CLASS_TOKEN,
        features=768,
        parameters=85.7,
        licence="Apache 2.0",
        commercial=True,
        gate=Gate.ASK,
        citation="Nechaev et al., arXiv 2406.05074",
        normalisation=HIBOU,
        assumed="configuration, as its own is code that is not run here",
    ),
    Encoder(
        name="hibou-l",
        aliases=("hibou_l", "Hibou-L"),
        repository="histai/hibou-L",
        architecture=transformers(
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
        normalisation=HIBOU,
        assumed="configuration, as its own is code that is not run here",
    ),
    Encoder(
        name="gpfm",
        aliases=("GPFM",),
        repository="majiabo/GPFM",
        architecture=timm(
            "vit_large_patch14_dinov2", img_size=224, init_values=1e-5, dynamic_img_size=True
        ),
        pooling=Pooling.CLASS_TOKEN,
        features=1024,
        parameters=303.2,
        licence=NON_COMMERCIAL,
        commercial=False,
        gate=Gate.OPEN,
        citation="Ma et al., arXiv 2407.18449",
        checkpoint="GPFM.pth",
    ),
    Encoder(
        name="conch",
        aliases=("CONCH", "conch_v1", "conch-v1"),
        repository="MahmoodLab/conch",
        architecture=rebuilt("ConchVision"),
        pooling=Pooling.OWN,
        features=512,
        parameters=87.6,
        licence=NON_COMMERCIAL,
        commercial=False,
        gate=Gate.ASK,
        citation="Lu et al., Nature Medicine 2024",
        normalisation=CLIP,
        input_px=448,
        checkpoint="pytorch_model.bin",
        note="Version 1, its image half. TRIDENT gives it tiles of 512 px at 0.5 um/px.",
    ),
    Encoder(
        name="ctranspath",
        aliases=("CTransPath", "chief-ctranspath"),
        repository="1aurent/swin_tiny_patch4_window7_224.CTransPath",
        architecture=rebuilt("CTransPath"),
        pooling=Pooling.OWN,
        features=768,
        parameters=27.5,
        licence="GPL 3.0, for academic use",
        commercial=False,
        gate=Gate.OPEN,
        citation="Wang et al., Medical Image Analysis 2022",
        assumed="the repository, a copy; the ctranspath.pth of its authors is read, too",
    ),
    Encoder(
        name="dinov2-vitb14",
        aliases=("dinov2-b14", "vit_base_patch14_dinov2.lvd142m"),
        repository="timm/vit_base_patch14_dinov2.lvd142m",
        architecture=timm("vit_base_patch14_dinov2", img_size=224),
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
