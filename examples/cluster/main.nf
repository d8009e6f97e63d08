// Scores a folder of slides in parts, then writes one page and one table over all of them.
//
//   nextflow run examples/cluster/main.nf --slides /slides --results /results --parts 8
//   ... -process.executor slurm
//
// Results lie where they are to stay, outside of Nextflow's work folder: what was killed goes on there.
params.slides = null
params.results = 'results'
params.parts = 4
params.options = '--mpp 0.5'

process SCORE {
    cpus 4
    memory '8 GB'
    errorStrategy 'retry'
    maxRetries 2

    input:
    val part
    val slides
    val results

    output:
    val part

    script:
    """
    napari-smse score "${slides}" --out "${results}" ${params.options} --quiet --shard ${part}/${params.parts}
    """
}

process COHORT {
    input:
    val parts
    val results

    output:
    val results

    script:
    """
    napari-smse cohort "${results}" --out "${results}/cohort.html" --parquet "${results}/tiles.parquet"
    """
}

workflow {
    if (!params.slides) {
        error 'Say where the slides are: --slides FOLDER'
    }
    slides = file(params.slides).toAbsolutePath()
    results = file(params.results).toAbsolutePath()
    parts = SCORE(Channel.of(1..params.parts), slides, results)
    COHORT(parts.collect(), results)
}
